# Makes the cluster once. It is made beside its place and moved there when whole, so that an interruption
# at any moment leaves either no cluster or a complete one.
set -eu
if [ ! -f "$DATA/cluster/PG_VERSION" ]; then
    rm -rf "$DATA/cluster.new"
    initdb --pgdata="$DATA/cluster.new" --username=postgres --auth=scram-sha-256 \
        --pwfile="$PASSWORD_FILE" --encoding=UTF8 --locale-provider=builtin --builtin-locale=C.UTF-8 --locale=C
    mv "$DATA/cluster.new" "$DATA/cluster"
fi
# A pod's server listens on the pod's own network, where others come from, with their passwords.
hba="$DATA/cluster/pg_hba.conf"
if [ "$BIND" != 127.0.0.1 ] && ! grep -q '0\.0\.0\.0/0' "$hba"; then
    printf 'host all all 0.0.0.0/0 scram-sha-256\nhost all all ::/0 scram-sha-256\n' >>"$hba"
fi

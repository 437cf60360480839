# Makes the cluster once. It is made beside its place and moved there when whole, so that an interruption
# at any moment leaves either no cluster or a complete one.
set -eu
if [ ! -f "$DATA/cluster/PG_VERSION" ]; then
    rm -rf "$DATA/cluster.new"
    initdb --pgdata="$DATA/cluster.new" --username=postgres --auth=scram-sha-256 \
        --pwfile="$PASSWORD_FILE" --encoding=UTF8 --locale-provider=builtin --builtin-locale=C.UTF-8 --locale=C
    mv "$DATA/cluster.new" "$DATA/cluster"
fi

# Gives the folder of the node its identity, once: Kafka starts in none that has no cluster's id.
set -eu
if [ ! -f "$DATA/log/meta.properties" ]; then
    run() { java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$JARS/*" kafka.tools.StorageTool "$@" 2>/dev/null; }
    run format --cluster-id "$(run random-uuid)" --config "$PROPERTIES" >/dev/null
fi

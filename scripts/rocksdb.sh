# Sourced. Where the dev profile has built RocksDB (optimised, as in release), other profiles take it instead of spending
# minutes on the same C++ again. Needs: $1, the target folder.
for library in "$1"/debug/build/librocksdb-sys-*/out/librocksdb.a; do
    [ ! -e "$library" ] || export ROCKSDB_STATIC=1 ROCKSDB_LIB_DIR=${library%/*}
done

-- The pieces of copies that must be kept lie beside the keys, where a restore of this database does not undo them.
DROP TABLE held_chunks;

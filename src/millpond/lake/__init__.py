"""The lake: references to what is in the object store, and the store itself behind one small interface."""

//! Stands in for a program or a library that the purge removes.

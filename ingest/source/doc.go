// Package source reads a gateway's log where it is written: a file that is
// rotated under the reader, standard input, and finite files for a replay.
//
// What is promised of a live file (see File): every line is handed out once and
// in order, with the same position after a restart, through rename rotation,
// copytruncate, deletion and a swapped symlink. What a rotation itself destroys
// is measured where that is possible, said once, and counted in Health.
package source

// Package ingesttest holds the contracts of ingest as tests: what each log format,
// each source and each bus must keep, so that a new one is one file and a call
// from its test. A failure names the rule that was broken.
package ingesttest

// Package kafka reads a topic that somebody else writes: a gateway (Kong
// kafka-log, APISIX kafka-logger) or a shipper (Fluent Bit, Vector). It is an
// ingest.Source like a file.
//
// The offsets are ours: a mark holds where each partition is to be resumed, and
// is saved together with the detection state. So a kill loses nothing and repeats
// nothing, whatever a consumer group says. Offsets are committed to a group only
// where one is named, behind what was saved, for the tools that watch its lag.
//
// What can be lost: records that the broker deletes (retention, delete-records, an
// unclean leader election) before they were read. They are counted and said once
// for each gap. What is not told apart: a topic that was deleted, made anew and
// written past our position looks like the old one to a consumer.
//
// Records are read as soon as the broker shows them (read_uncommitted), also those
// of a transaction that is aborted later: the requests they tell of took place.
package kafka

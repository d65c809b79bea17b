// Package kafkanet is how this program reaches Kafka, whether it reads a topic of
// others (ingest/source/kafka) or its own (ingest/bus/kafka): login, encryption,
// connections, the reading of one partition, and words for what goes wrong.
package kafkanet

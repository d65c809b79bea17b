// Package kafka is the bus between processes: Portcullis' own topics on Kafka.
//
// What it promises, and how:
//
//   - Order: per partition one request is in flight, and it is repeated until the
//     brokers have it (acks=all) or the Producer is closed; a later message never
//     overtakes it. Requests carry a producer id and sequence numbers, so that the
//     broker drops repeats. A repeat is still possible where the broker forgot the
//     id, or after a restart of this process.
//   - Nothing lost: a message counts once all in-sync replicas have it. What the
//     broker refuses for good, such as a message over its size limit, is reported
//     to the sender and passed over.
//   - Bounded: a partition's queue that is full blocks its senders, and with them
//     the source; the log file is the buffer. Stats shows what waits.
//   - One owner: Join says which partitions are ours, Generation.Check that they
//     still are.
//   - State: Load and Save keep the snapshot of a task in a compacted topic. A save
//     that was torn is as if it had not been; one by an owner of the past loses.
package kafka

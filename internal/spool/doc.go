// Package spool is the temporary memory that an API has before its queue. It takes
// messages for topics of Kafka, answers once they are on disk, and lets them go at
// a rate that follows the clients' need: at full speed while clients' latency is
// within its bound, held back while it isn't, but never for longer than the policy
// allows. See Pacer for that contract.
//
// Each topic has a log of its own, so that one that can't be written to stands in
// no other's way:
//
//	POST -> encode -> group commit: write, fsync -> 202
//	                         |
//	              segments of framed messages
//	                         |
//	       read ahead -> let go by the pacer -> a lane a partition -> Kafka
//	                         |                                          |
//	              segments removed  <-- position <-- confirmed by Kafka -+
//
// What is promised: a message that was answered with 202 is sent at least once,
// whatever ends the process or the machine; it carries an id by which whoever
// reads it tells duplicates. Messages of one key are sent in the order in which
// they were accepted, over retries too: a lane has one request under way, and what
// has failed is sent again before what came after it.
//
// What is left out: deduplication, which is the reader's by the message's id, and
// order among messages of different keys.
//
// That one fsync serves all who wait is group commit (DeWitt et al.,
// "Implementation techniques for main memory database systems", SIGMOD 1984). That
// a file is not trusted after an fsync of it has failed is the lesson of Rebello
// et al., "Can applications recover from fsync failures?", USENIX ATC 2020: the
// kernel may have dropped the pages and call them clean.
package spool

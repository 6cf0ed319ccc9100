package policy

import "time"

// Spool has the sidecar take messages for Kafka, keep them on disk, and send them
// at a rate that leaves clients what they need. It needs the block kafka, and is for
// a service that answers requests. The application finds it at HOMEOSTAT_SIDECAR.
type Spool struct {
	// Topics are those that messages are taken for.
	Topics []string `policy:"topics,required"`
	// ReplyTo has new messages carry where their result is to go, in the header
	// Homeostat-Reply-To: the public address of this cell, or of a sibling with room
	// while this one can take no more from crawlers. Without a block `proxy` it is
	// always this cell's: nothing tells what crawlers it can take.
	ReplyTo bool `policy:"reply_to" default:"true"`
	// Dir is the folder in which each cell has one for its spool, by its name. It is
	// relative to the cell's data directory where it has one, else to the policy.
	Dir string `policy:"dir" default:"spool"`
	// Hold is the longest that a message is held back because clients' latency is
	// beyond its bound.
	Hold time.Duration `policy:"hold" default:"60s" within:"[100ms,1h]"`
	// Spread is over how long the flow rises to full speed once latency is within its
	// bound again; a random wait of up to as much comes before it, so that many cells
	// don't send all at once. At most half of `hold`, which it is where the default
	// is more.
	Spread time.Duration `policy:"spread" default:"10s" within:"[0s,30m]"`
	// MaxBytes is how much each topic may take on a cell's disk. Messages beyond it
	// are refused with 429.
	MaxBytes int `policy:"max_bytes" default:"1073741824" within:"[65536,2147483647]"`
	// MaxAge is how old the oldest message may be. While it is older, new ones are
	// refused with 429; those that were taken are kept.
	MaxAge time.Duration `policy:"max_age" default:"1h" within:"[1s,720h]"`
	// SegmentBytes is the size of one file of the spool, which is removed as a whole.
	// At most a quarter of `max_bytes`, which it is where the default is more.
	SegmentBytes int `policy:"segment_bytes" default:"16777216" within:"[4096,1073741824]"`
	// MaxMessageBytes is the largest message that is taken. Kafka itself takes 1 MiB
	// with all that is around a message, unless it is told otherwise.
	MaxMessageBytes int `policy:"max_message_bytes" default:"900000" within:"[1,104857600]"`
	// MaxBatch is the most messages that one request may bring.
	MaxBatch int `policy:"max_batch" default:"1000" within:"[1,100000]"`
	// MaxRequestBytes is the largest request that is read.
	MaxRequestBytes int `policy:"max_request_bytes" default:"8388608" within:"[1,1073741824]"`
}

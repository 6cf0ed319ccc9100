package spool

import (
	"math/rand/v2"
	"time"

	"github.com/segmentio/kafka-go"
)

// lane sends to one partition, one request at a time: what has failed goes again
// before what comes after it.
type lane struct {
	partition int
	waiting   []*item // in the order of the log
	sending   int     // how many of them are under way
	failures  int     // in a row
	retry     time.Time
	// most is how many messages go into one request. It is halved after each
	// failure, so that a message that the broker doesn't take is alone at last.
	most int
}

// item is a message between the log and the broker.
type item struct {
	sequence  uint64
	message   Message
	size      int
	confirmed bool
}

const (
	// mostMessages and mostBytes bound one request. A broker takes 1 MiB unless it is
	// told otherwise.
	mostMessages = 1000
	mostBytes    = 900 << 10

	retryMin = 100 * time.Millisecond
	retryMax = 5 * time.Second
)

func newLane(partition int) *lane { return &lane{partition: partition, most: mostMessages} }

// batch takes what goes into the next request, at least one message.
func (l *lane) batch() []Message {
	var out []Message
	bytes := 0
	for _, i := range l.waiting[:min(l.most, len(l.waiting))] {
		if bytes += i.size; len(out) > 0 && bytes > mostBytes {
			break
		}
		out = append(out, i.message)
	}
	l.sending = len(out)
	return out
}

// succeeded takes what was sent out of the lane.
func (l *lane) succeeded() []*item {
	sent := l.waiting[:l.sending:l.sending]
	l.waiting = l.waiting[l.sending:]
	l.sending, l.failures, l.retry = 0, 0, time.Time{}
	l.most = min(mostMessages, 2*l.most)
	return sent
}

// failed has what was sent sent again, after a pause that grows and is each lane's
// own.
func (l *lane) failed(now time.Time) {
	l.most = max(1, l.sending/2)
	l.sending = 0
	pause := retryMax
	if l.failures < 6 {
		pause = min(retryMax, retryMin<<l.failures)
	}
	l.failures++
	l.retry = now.Add(pause/2 + rand.N(pause))
}

// partitionOf is where a message goes, of the partitions from 0 on: by its key as
// Kafka's own clients have it, or, without one, by its place in the log.
func partitionOf(i *item, partitions []int) int {
	if i.message.Key == nil {
		return partitions[i.sequence%uint64(len(partitions))]
	}
	return kafka.Murmur2Balancer{Consistent: true}.Balance(kafka.Message{Key: i.message.Key}, partitions...)
}

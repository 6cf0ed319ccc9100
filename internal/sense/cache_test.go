package sense

import (
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// rememberer is a sampler of three partitions whose clock a test moves.
func rememberer(t *testing.T) (*fake, *Kafka, *time.Time) {
	f, now := threePartitions(t), time.Now()
	k := f.sampler(t, func(c *KafkaConfig) { c.Now = func() time.Time { return now } })
	wantValue(t, "lag", k.Sample(t.Context()).Lag, 18)
	f.counted(kmsg.Metadata.Int16())
	f.counted(kmsg.FindCoordinator.Int16())
	return f, k, &now
}

// TestSampleRemembers counts what is asked again from sample to sample.
func TestSampleRemembers(t *testing.T) {
	f, k, now := rememberer(t)
	for _, key := range []kmsg.Key{kmsg.OffsetFetch, kmsg.DescribeGroups, kmsg.ListOffsets} {
		f.counted(key.Int16())
	}
	for range 5 {
		*now = now.Add(5 * time.Second)
		wantValue(t, "lag", k.Sample(t.Context()).Lag, 18)
	}
	for key, want := range map[kmsg.Key]int{kmsg.Metadata: 0, kmsg.FindCoordinator: 0, kmsg.OffsetFetch: 5, kmsg.DescribeGroups: 5, kmsg.ListOffsets: 15} {
		if n := f.counted(key.Int16()); n != want {
			t.Errorf("%d %s requests in five samples, want %d", n, key.Name(), want)
		}
	}
	*now = now.Add(5 * time.Second)
	k.Sample(t.Context())
	if n := f.counted(kmsg.Metadata.Int16()); n < 1 {
		t.Error("after half a minute the partitions were not listed anew")
	}
}

// TestSampleFindsAMovedCoordinator has the coordinator of the group move.
func TestSampleFindsAMovedCoordinator(t *testing.T) {
	f, k, _ := rememberer(t)
	f.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Group: "g", Err: kerr.NotCoordinator})
	s := k.Sample(t.Context())
	wantValue(t, "lag", s.Lag, 18)
	wantValue(t, "members", s.Members, 0)
	if n := f.counted(kmsg.FindCoordinator.Int16()); n < 1 {
		t.Error("the coordinator was not looked for again")
	}
}

// TestSampleSeesPartitionsAdded has partitions added: they are seen when they are
// listed anew, and what was written there meanwhile is spread over that time.
func TestSampleSeesPartitionsAdded(t *testing.T) {
	f, k, now := rememberer(t)
	m := NewRateMeter(0)
	m.Observe(k.Sample(t.Context()))
	if _, err := f.client.CreatePartitions(t.Context(), grow("t", 4)); err != nil {
		t.Fatal(err)
	}
	as[*kafka.Transport](t, f.client.Transport).CloseIdleConnections() // it remembers three partitions
	produce(t, f.client, "t", 3, 60)
	*now = now.Add(5 * time.Second)
	if s := k.Sample(t.Context()); s.PartitionCount.Value != 3 {
		t.Errorf("%v partitions", s.PartitionCount)
	} else {
		m.Observe(s)
	}
	*now = now.Add(25 * time.Second)
	s := k.Sample(t.Context())
	if s.PartitionCount.Value != 4 {
		t.Fatalf("%v partitions", s.PartitionCount)
	}
	if r := m.Observe(s); !r.Offered.Known || r.Offered.Value < 1.9 || r.Offered.Value > 2.1 {
		t.Errorf("offered %+v, want 60 messages in 30 s", r.Offered)
	}
}

// TestSampleSeesATopicMadeAnew has the topic removed, and made anew with fewer
// partitions, between two samples.
func TestSampleSeesATopicMadeAnew(t *testing.T) {
	f, k, now := rememberer(t)
	f.remove(t)
	*now = now.Add(time.Second)
	wantUnknown(t, "partitions", k.Sample(t.Context()).PartitionCount, "does not exist")
	f.create(t, 2)
	*now = now.Add(time.Second)
	if s := k.Sample(t.Context()); s.PartitionCount.Value != 2 {
		t.Errorf("made anew it has %v partitions, want 2", s.PartitionCount)
	}
	f.remove(t)
	f.create(t, 1)
	*now = now.Add(time.Second)
	if s := k.Sample(t.Context()); s.PartitionCount.Value != 1 {
		t.Errorf("made anew unseen it has %v partitions, want 1", s.PartitionCount)
	}
}

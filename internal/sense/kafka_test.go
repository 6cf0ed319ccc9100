package sense

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestSampleAsksEachLeaderOnce(t *testing.T) {
	const partitions, brokers = 5000, 3
	f := newFake(t, brokers, kfake.SeedTopics(partitions, "t"))
	produce(t, f.client, "t", 17, 30)
	commit(t, f.client, "t", "g", map[int]int64{17: 10})
	k := f.sampler(t)

	first := k.Sample(t.Context())
	if !first.Lag.Known || first.Lag.Value != 20 || first.Known != partitions {
		t.Fatalf("lag = %v of %d partitions, want 20 of %d", first.Lag, first.Known, partitions)
	}
	if n := f.counted(kmsg.ListOffsets.Int16()); n != brokers+1 {
		t.Errorf("first sample: %d ListOffsets requests, want one a broker and one for the log start of the partition behind", n)
	}
	f.counted(kmsg.OffsetFetch.Int16())
	k.Sample(t.Context())
	if n := f.counted(kmsg.ListOffsets.Int16()); n != brokers {
		t.Errorf("%d ListOffsets requests for %d partitions, want one to each of %d brokers", n, partitions, brokers)
	}
	if n := f.counted(kmsg.OffsetFetch.Int16()); n != 1 {
		t.Errorf("%d OffsetFetch requests, want 1", n)
	}
}

package sense

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestNewKafkaRefuses(t *testing.T) {
	tests := map[string]KafkaConfig{
		"no broker is given":         {Topic: "t", Group: "g"},
		"no topic is given":          {Brokers: []string{"localhost:9092"}, Group: "g"},
		"no consumer group is given": {Brokers: []string{"localhost:9092"}, Topic: "t"},
		`"localhost" is not host:`:   {Brokers: []string{"localhost"}, Topic: "t", Group: "g"},
	}
	for want, cfg := range tests {
		if _, err := NewKafka(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error = %v, want %q", err, want)
		}
	}
}

func TestSampleAsksEachLeaderOnce(t *testing.T) {
	const partitions, brokers = 5000, 3
	f := newFake(t, brokers, kfake.SeedTopics(partitions, "t"))
	produce(t, f.client, "t", 17, 30)
	commit(t, f.client, "t", "g", map[int]int64{17: 10})
	k := f.sampler(t)
	f.counted(kmsg.OffsetFetch.Int16())

	first := k.Sample(t.Context())
	wantValue(t, "lag", first.Lag, 20)
	if first.Known != partitions {
		t.Errorf("lag is known for %d of %d partitions", first.Known, partitions)
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

// threePartitions is a fake with 10 messages on each of three partitions led by
// brokers of their own, of which the group has committed 4.
func threePartitions(t *testing.T) *fake {
	f := newFake(t, 3, kfake.SeedTopics(3, "t"))
	for p := range 3 {
		if err := f.MoveTopicPartition("t", int32(p), int32(p)); err != nil {
			t.Fatal(err)
		}
	}
	for p := range 3 {
		produce(t, f.client, "t", p, 10)
	}
	commit(t, f.client, "t", "g", map[int]int64{0: 4, 1: 4, 2: 4})
	return f
}

func TestSampleWithFaults(t *testing.T) {
	always := -1
	tests := map[string]struct {
		fault  kfake.Fault
		known  int
		reason string
	}{
		"a leader that has moved is found again": {
			fault: kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Partitions: []int32{1}, Err: kerr.NotLeaderForPartition},
			known: 3,
		},
		"a partition that stays without an answer": {
			fault: kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Partitions: []int32{1}, Err: kerr.NotLeaderForPartition, Count: always},
			known: 2, reason: "partition 1: list offsets at broker 1: [6] Not Leader",
		},
		"a partition that may not be read": {
			fault: kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Partitions: []int32{2}, Err: kerr.TopicAuthorizationFailed, Count: always},
			known: 2, reason: "partition 2: list offsets at broker 2: [29] Topic Authorization",
		},
		"a coordinator that has moved is found again": {
			fault: kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Group: "g", Err: kerr.NotCoordinator},
			known: 3,
		},
		"a coordinator that is loading": {
			fault: kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Group: "g", Err: kerr.CoordinatorLoadInProgress, Count: 2},
			known: 3,
		},
		"a group that is not found has committed nothing": {
			fault: kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Group: "g", Err: kerr.GroupIDNotFound, Count: always},
			known: 0, reason: `group "g" has committed no offset here, though there are 10 messages`,
		},
		"a group that may not be read": {
			fault: kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Group: "g", Err: kerr.GroupAuthorizationFailed, Count: always},
			known: 0, reason: `fetch the offsets committed by group "g": [30] Group Authorization`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := threePartitions(t)
			f.Fault(tt.fault)
			s := f.sampler(t).Sample(t.Context())
			if s.Known != tt.known || s.Partial() != (tt.known == 2) {
				t.Errorf("lag is known for %d partitions (partial %v), want %d", s.Known, s.Partial(), tt.known)
			}
			if tt.reason == "" {
				wantValue(t, "lag", s.Lag, 18)
			} else {
				wantUnknown(t, "lag", s.Lag, tt.reason)
			}
			if tt.known > 0 {
				wantValue(t, "lag at least", s.AtLeast, float64(6*tt.known))
			}
			wantValue(t, "partitions", s.PartitionCount, 3)
		})
	}
}

func TestSampleWithoutCommitsStillTellsLogEnds(t *testing.T) {
	f := threePartitions(t)
	f.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Err: kerr.GroupAuthorizationFailed, Count: -1})
	k, m := f.sampler(t), NewRateMeter(0)
	m.Observe(k.Sample(t.Context()))
	produce(t, f.client, "t", 0, 5)
	r := m.Observe(k.Sample(t.Context()))
	if !r.Offered.Known || r.Offered.Value <= 0 {
		t.Errorf("offered = %v, want it known though the group is not", r.Offered)
	}
	wantUnknown(t, "served", r.Served, "not every committed offset")
}

// as is a message of the kind that a test expects.
func as[T any](t *testing.T, message any) T {
	t.Helper()
	m, ok := message.(T)
	if !ok {
		t.Errorf("got a %T", message)
	}
	return m
}

// answer makes the fake answer every request of a kind with a response that a
// test has changed.
func (f *fake) answer(key kmsg.Key, respond func(kmsg.Request) kmsg.Response) {
	f.ControlKey(key.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		f.KeepControl()
		res := respond(req)
		return res, nil, res != nil
	})
}

func TestSampleWithHostileOffsets(t *testing.T) {
	tests := map[string]struct {
		offset int64
		asked  bool // whether the partition that was asked for is answered
		reason string
	}{
		"an offset of -1":               {offset: -1, asked: true, reason: "gave -1 as an offset"},
		"the partition left out":        {offset: 10, asked: false, reason: "left the partition out"},
		"a log end before what is read": {offset: 2, asked: true, reason: "committed offset 4 lies beyond the log end 2"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := threePartitions(t)
			f.answer(kmsg.ListOffsets, func(req kmsg.Request) kmsg.Response {
				in := as[*kmsg.ListOffsetsRequest](t, req)
				if in.Topics[0].Partitions[0].Partition != 1 {
					return nil
				}
				res := as[*kmsg.ListOffsetsResponse](t, in.ResponseKind())
				topic := kmsg.NewListOffsetsResponseTopic()
				topic.Topic = "t"
				p := kmsg.NewListOffsetsResponseTopicPartition()
				p.Partition, p.Offset = 1, tt.offset
				if !tt.asked {
					p.Partition = 77
				}
				topic.Partitions = append(topic.Partitions, p)
				res.Topics = append(res.Topics, topic)
				return res
			})
			s := f.sampler(t).Sample(t.Context())
			wantUnknown(t, "lag", s.Lag, tt.reason)
			wantValue(t, "lag at least", s.AtLeast, 12)
			if len(s.Partitions) != 3 || s.Partitions[1].Lag != 0 {
				t.Errorf("partitions = %+v, want 3 and no lag on the one unknown", s.Partitions)
			}
		})
	}
}

func TestSamplePartitionWithoutLeader(t *testing.T) {
	f := threePartitions(t)
	f.answer(kmsg.Metadata, func(req kmsg.Request) kmsg.Response {
		res := as[*kmsg.MetadataResponse](t, req.ResponseKind())
		topic := kmsg.NewMetadataResponseTopic()
		topic.Topic = kmsg.StringPtr("t")
		for id := range int32(3) {
			broker := kmsg.NewMetadataResponseBroker()
			broker.NodeID = id
			host, port, _ := strings.Cut(f.ListenAddrs()[id], ":")
			broker.Host = host
			_, _ = fmt.Sscan(port, &broker.Port)
			res.Brokers = append(res.Brokers, broker)
			p := kmsg.NewMetadataResponseTopicPartition()
			p.Partition, p.Leader = id, id
			if id == 2 {
				p.Leader, p.ErrorCode = -1, kerr.LeaderNotAvailable.Code
			}
			topic.Partitions = append(topic.Partitions, p)
		}
		res.Topics = append(res.Topics, topic)
		return res
	})
	s := f.sampler(t).Sample(t.Context())
	wantUnknown(t, "lag", s.Lag, "known for 2 of 3 partitions, at least 12; partition 2: partition has no leader")
}

func TestSampleFollowsPartitionsAndBrokers(t *testing.T) {
	f := threePartitions(t)
	k := f.sampler(t)
	wantValue(t, "lag", k.Sample(t.Context()).Lag, 18)
	if err := f.MoveTopicPartition("t", 0, 2); err != nil {
		t.Fatal(err)
	}
	wantValue(t, "lag after a leader has moved", k.Sample(t.Context()).Lag, 18)
	if err := f.RemoveNode(1); err != nil {
		t.Fatal(err)
	}
	wantValue(t, "lag after a broker has gone", k.Sample(t.Context()).Lag, 18)
	if _, _, err := f.AddNode(1, 0); err != nil {
		t.Fatal(err)
	}
	wantValue(t, "lag after it has come back at another address", k.Sample(t.Context()).Lag, 18)
}

func TestSampleDescribesTheGroup(t *testing.T) {
	tests := map[string]struct {
		state       string
		members     int
		code        int16
		rebalancing bool
		reason      string // of the members
		idle        int
		note        string
	}{
		"stable":                 {state: "Stable", members: 3},
		"empty":                  {state: "Empty"},
		"more members":           {state: "Stable", members: 5, idle: 2, note: "5 members for 3 partitions"},
		"preparing":              {state: "PreparingRebalance", members: 2, rebalancing: true},
		"completing":             {state: "CompletingRebalance", members: 2, rebalancing: true},
		"dead, with offsets":     {state: "Dead", reason: "described as dead though", note: "KIP-848"},
		"not found, by code":     {code: kerr.GroupIDNotFound.Code, reason: "described as dead though", note: "KIP-848"},
		"may not be described":   {code: kerr.GroupAuthorizationFailed.Code, reason: "[30] Group Authorization"},
		"coordinator stays away": {code: kerr.CoordinatorNotAvailable.Code, reason: "[15] Group Coordinator"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := threePartitions(t)
			f.answer(kmsg.DescribeGroups, func(req kmsg.Request) kmsg.Response {
				res := as[*kmsg.DescribeGroupsResponse](t, req.ResponseKind())
				g := kmsg.NewDescribeGroupsResponseGroup()
				g.Group, g.State, g.ErrorCode = "g", tt.state, tt.code
				g.Members = make([]kmsg.DescribeGroupsResponseGroupMember, tt.members)
				res.Groups = append(res.Groups, g)
				return res
			})
			s := f.sampler(t).Sample(t.Context())
			wantValue(t, "lag", s.Lag, 18)
			if tt.reason == "" {
				wantValue(t, "members", s.Members, float64(tt.members))
			} else {
				wantUnknown(t, "members", s.Members, tt.reason)
			}
			if s.Rebalancing != tt.rebalancing || s.IdleMembers != tt.idle || tt.code == 0 && s.GroupState != tt.state {
				t.Errorf("group is %q, rebalancing %v, idle %d", s.GroupState, s.Rebalancing, s.IdleMembers)
			}
			if notes := strings.Join(s.Notes, "\n"); !strings.Contains(notes, tt.note) || tt.note == "" && notes != "" {
				t.Errorf("notes = %q, want %q", notes, tt.note)
			}
		})
	}
}

func TestSampleEndsInTime(t *testing.T) {
	for _, key := range []kmsg.Key{kmsg.Metadata, kmsg.OffsetFetch, kmsg.ListOffsets, kmsg.DescribeGroups} {
		t.Run(key.Name(), func(t *testing.T) {
			f := threePartitions(t)
			k := f.sampler(t, func(c *KafkaConfig) { c.Timeout = 300 * time.Millisecond })
			f.ControlKey(key.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
				f.KeepControl()
				return nil, nil, true // Handled by no answer at all.
			})
			s := k.Sample(t.Context())
			if key == kmsg.DescribeGroups {
				wantUnknown(t, "members", s.Members, "no answer in time")
				return
			}
			wantUnknown(t, "lag", s.Lag, "no answer in time")
		})
	}
	t.Run("canceled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		wantUnknown(t, "lag", threePartitions(t).sampler(t).Sample(ctx).Lag, context.Canceled.Error())
	})
}

func TestSampleNobodyThere(t *testing.T) {
	f := newFake(t, 1)
	addresses := f.ListenAddrs()
	f.Close()
	k := newSampler(t, addresses, "t", "g")
	s := k.Sample(t.Context())
	wantUnknown(t, "lag", s.Lag, "connection refused")
	wantUnknown(t, "lag", s.Lag, addresses[0])
	wantUnknown(t, "partitions", s.PartitionCount, "connection refused")
}

func TestPartitionLag(t *testing.T) {
	lost := errors.New("lost")
	at := func(o int64) offset { return offset{value: o} }
	tests := map[string]struct {
		end, start offset
		committed  int64
		commitErr  error
		policy     WithoutCommit
		noGroup    bool
		lag        int64
		reason     string
	}{
		"behind":                               {end: at(10), start: at(0), committed: 4, lag: 6},
		"up to date":                           {end: at(10), start: at(-1), committed: 10},
		"retention passed the offset":          {end: at(10), start: at(7), committed: 4, lag: 3},
		"retention took everything":            {end: at(10), start: at(10), committed: 4},
		"log start later than the log end":     {end: at(10), start: at(12), committed: 4},
		"offset beyond the log end":            {end: at(3), start: at(0), committed: 4, reason: "beyond the log end"},
		"nothing there, nothing committed":     {end: at(0), start: at(-1), committed: -1},
		"nothing left, nothing committed":      {end: at(9), start: at(9), committed: -1},
		"nothing committed":                    {end: at(9), start: at(2), committed: -1, reason: "committed no offset here, though there are 7"},
		"nothing committed, from the start":    {end: at(9), start: at(2), committed: -1, policy: FromStart, lag: 7},
		"nothing committed, from the end":      {end: at(9), start: at(2), committed: -1, policy: FromEnd},
		"no such group":                        {end: at(9), start: at(2), committed: -1, noGroup: true, policy: FromStart, reason: "does not exist"},
		"no such group, nothing there":         {end: at(0), start: at(-1), committed: -1, noGroup: true},
		"log end unknown":                      {end: offset{value: -1, err: lost}, committed: 4, reason: "lost"},
		"log start unknown":                    {end: at(9), start: offset{value: -1, err: lost}, committed: 4, reason: "log start is unknown: lost"},
		"log start unknown but not needed":     {end: at(9), start: offset{value: -1, err: lost}, committed: 9},
		"committed offset unknown":             {end: at(9), start: at(0), commitErr: lost, reason: "lost"},
		"committed offset left out of answers": {end: at(9), start: at(0), committed: -2, reason: "left the partition out"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := commits{offsets: map[int]int64{7: tt.committed}}
			if tt.committed == -2 || tt.commitErr != nil {
				c = commits{errs: map[int]error{7: tt.commitErr}}
			}
			k := &Kafka{cfg: KafkaConfig{Group: "g", WithoutCommit: tt.policy}}
			p := partitionLag(7, tt.end, tt.start, c, k.withoutCommit(!tt.noGroup))
			if p.Lag != tt.lag || p.Known != (tt.reason == "") || !strings.Contains(p.Reason, tt.reason) {
				t.Errorf("partition = %+v, want lag %d, reason %q", p, tt.lag, tt.reason)
			}
		})
	}
}

// everyPartition commits the start of each of n partitions.
func everyPartition(n int) map[int]int64 {
	offsets := make(map[int]int64, n)
	for p := range n {
		offsets[p] = 0
	}
	return offsets
}

// BenchmarkLagSample5000 is a sample of a topic with 5,000 partitions on three
// in-process brokers, with a committed offset on each of them.
func BenchmarkLagSample5000(b *testing.B) {
	const partitions, brokers = 5000, 3
	f := newFake(b, brokers, kfake.SeedTopics(partitions, "t"))
	commit(b, f.client, "t", "g", everyPartition(partitions))
	k := f.sampler(b)
	if s := k.Sample(b.Context()); s.PartitionCount.Value != partitions {
		b.Fatalf("topic has %v partitions", s.PartitionCount)
	}
	f.counted(kmsg.ListOffsets.Int16())
	for b.Loop() {
		if s := k.Sample(b.Context()); s.Known != partitions {
			b.Fatalf("lag is known for %d partitions: %v", s.Known, s.Lag)
		}
	}
	b.ReportMetric(float64(f.counted(kmsg.ListOffsets.Int16()))/float64(b.N), "requests/op")
}

package sense

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/describegroups"
	"github.com/segmentio/kafka-go/protocol/findcoordinator"
	"github.com/segmentio/kafka-go/protocol/offsetfetch"
)

// commitsAt and groupAt are offsetfetch.Request and describegroups.Request, with the
// same wire format, to a broker that is known to be the group's coordinator. The
// Transport looks for the coordinator before each request of the library's own types.
type commitsAt struct {
	GroupID string                     `kafka:"min=v0,max=v5"`
	Topics  []offsetfetch.RequestTopic `kafka:"min=v0,max=v5,nullable"`

	coordinator int
}

// ApiKey implements protocol.Message.
func (*commitsAt) ApiKey() protocol.ApiKey { return protocol.OffsetFetch }

// Broker implements protocol.BrokerMessage.
func (r *commitsAt) Broker(protocol.Cluster) (protocol.Broker, error) {
	return protocol.Broker{ID: int32(r.coordinator)}, nil
}

type groupAt struct {
	_                           struct{} `kafka:"min=v5,max=v5,tag"`
	Groups                      []string `kafka:"min=v0,max=v4|min=v5,max=v5,compact"`
	IncludeAuthorizedOperations bool     `kafka:"min=v3,max=v5"`

	coordinator int
}

// ApiKey implements protocol.Message.
func (*groupAt) ApiKey() protocol.ApiKey { return protocol.DescribeGroups }

// Broker implements protocol.BrokerMessage.
func (r *groupAt) Broker(protocol.Cluster) (protocol.Broker, error) {
	return protocol.Broker{ID: int32(r.coordinator)}, nil
}

var (
	_ protocol.BrokerMessage = (*commitsAt)(nil)
	_ protocol.BrokerMessage = (*groupAt)(nil)
	_                        = describegroups.Request{} // whose format groupAt has
)

// coordinator remembers which broker coordinates the group. It is asked for again
// after any answer by which it may be another one now.
type coordinator struct {
	mu    sync.Mutex
	known bool
	id    int
}

// find returns the coordinator's id, and asks for it where it isn't known.
func (c *coordinator) find(ctx context.Context, k *Kafka) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known {
		return c.id, nil
	}
	m, err := k.roundTrip(ctx, &findcoordinator.Request{Key: k.cfg.Group})
	res, ok := m.(*findcoordinator.Response)
	switch {
	case err != nil:
	case !ok:
		err = fmt.Errorf("answered with %T", m)
	case res.ErrorCode != 0:
		err = kafka.Error(res.ErrorCode)
	}
	if err != nil {
		return 0, fmt.Errorf("find the coordinator: %w", err)
	}
	c.known, c.id = true, int(res.NodeID)
	return c.id, nil
}

// judge forgets the coordinator of that id after an error, unless that says that it
// is the right one.
func (c *coordinator) judge(id int, err error) {
	if err == nil || errors.Is(err, kafka.GroupLoadInProgress) || errors.Is(err, kafka.GroupAuthorizationFailed) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.id == id {
		c.known = false
	}
}

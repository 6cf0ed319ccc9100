package sense

import (
	"context"
	"errors"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/wait"
)

const (
	// attempts within one sample for what failed in a way that may pass.
	attempts = 3
	// retryPause is multiplied by the number of the attempt.
	retryPause = 50 * time.Millisecond
)

// isBroken says that the way to a broker failed, rather than that a broker
// answered with an error. BrokerNotAvailable is how the client reports that it
// knows no address for a broker.
func isBroken(err error) bool {
	var code kafka.Error
	return !errors.As(err, &code) || code == kafka.BrokerNotAvailable
}

// mayPass says that the same question may get an answer a moment later.
func mayPass(err error) bool {
	var code kafka.Error
	return isBroken(err) || errors.As(err, &code) && code.Temporary()
}

// again says whether there is to be another attempt, and waits before it. After
// a broken connection, or a second failure of any kind, the client's picture of
// the brokers is thrown away with its connections: a broker may have come back
// at another address, while one that should be gone still answers at the old.
func (k *Kafka) again(ctx context.Context, attempt int, err error) bool {
	if isBroken(err) || attempt > 1 {
		k.transport.CloseIdleConnections()
	}
	if attempt >= attempts || !mayPass(err) {
		return false
	}
	return wait.For(ctx, time.Duration(attempt)*retryPause) == nil
}

package cell

import (
	"context"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/sense"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/wait"
)

// watchDatabase looks at the cell's database each beat.
func (c *Cell) watchDatabase(ctx context.Context) {
	if c.Database == nil {
		return
	}
	for {
		d := c.Database(ctx)
		c.mu.Lock()
		c.database, c.looked = &d, c.Now()
		c.mu.Unlock()
		if wait.For(ctx, c.Service.Beat) != nil {
			return
		}
	}
}

// databaseNow is what is known of the database, nil where the cell is none. What
// was seen long ago is no longer true: a look that doesn't come to its end is
// itself a sign. The caller holds the lock.
func (c *Cell) databaseNow() *sense.Database {
	if c.Database == nil {
		return nil
	}
	if c.database == nil {
		return sense.UnknownDatabase(reading.Unknown("it has not been looked at yet"))
	}
	if age := c.Now().Sub(c.looked); age > 3*c.Service.Beat+c.Service.Postgres.Timeout {
		return sense.UnknownDatabase(reading.Unknown("the last look is %s old", age))
	}
	d := *c.database
	return &d
}

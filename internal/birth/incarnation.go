package birth

import (
	"encoding/base32"
	"fmt"
	"io"
	"time"
)

// crockford is an alphabet whose letters sort as their values do.
var crockford = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// NewIncarnation returns a name for one life of a cell: ten characters of the
// time in milliseconds and six random ones, so that the newest sorts last and
// two starters don't meet. The form is ULID's, with less chance in it.
func NewIncarnation(now time.Time, random io.Reader) (string, error) {
	var b [10]byte
	ms := uint64(now.UnixMilli())
	for i := range 6 {
		b[i] = byte(ms >> (8 * (5 - i)))
	}
	if _, err := io.ReadFull(random, b[6:]); err != nil {
		return "", fmt.Errorf("read random bytes for an incarnation: %w", err)
	}
	return crockford.EncodeToString(b[:]), nil
}

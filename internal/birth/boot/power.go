package boot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// powerLimit is how long one way to power off may take to answer.
const powerLimit = time.Minute

// PowerOff has this machine power itself off, by whichever command it has for that.
func PowerOff(ctx context.Context) error {
	var errs []error
	for _, command := range [][]string{{"systemctl", "poweroff"}, {"poweroff"}, {"shutdown", "-h", "now"}} {
		one, cancel := context.WithTimeout(ctx, powerLimit)
		out, err := exec.CommandContext(one, command[0], command[1:]...).CombinedOutput()
		cancel()
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, strings.TrimSpace(string(out))))
	}
	return errors.Join(errs...)
}

// Console says a line on this machine's console, which clouds show, if it has one.
func Console(line string) {
	console, err := os.OpenFile("/dev/console", os.O_WRONLY, 0)
	if err != nil {
		return
	}
	_, _ = fmt.Fprintf(console, "homeostat: %s\r\n", line) // nobody may be listening
	_ = console.Close()
}

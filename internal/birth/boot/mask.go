package boot

import "strings"

// shortestLine is the least that a line of a secret of several must have to be
// masked by itself.
const shortestLine = 8

// mask puts stars in the place of each secret that a text holds, and of each line
// of one that has several.
func mask(text string, secrets map[string]string) string {
	for _, secret := range secrets {
		if secret = strings.TrimSpace(secret); secret != "" {
			text = strings.ReplaceAll(text, secret, "***")
		}
		for line := range strings.Lines(secret) {
			if line = strings.TrimSpace(line); len(line) >= shortestLine {
				text = strings.ReplaceAll(text, line, "***")
			}
		}
	}
	return text
}

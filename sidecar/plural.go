package main

import "fmt"

// plural counts things: 1 cell, 2 cells.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

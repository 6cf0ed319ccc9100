// Package callers is what those that stand before others, the proxy and the front, know
// of who calls them: whose word on where a request came from is taken, what is told of
// that to who is behind, and how many connections there may be. It leaves out requests,
// how many of which there may be is for each of the two to say.
package callers

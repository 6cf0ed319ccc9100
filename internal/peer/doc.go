// Package peer proves to each other the sidecars of one installation, and the
// provider: HTTP requests and their answers are authenticated with a key that
// all of them share.
//
// A request is signed over its method, its path and query (not its host, which
// a cell may be reached by under several names), its body, its time and a
// nonce; an answer over the request's nonce, its status and its body, so that
// none fits another request. A request is taken once, and only while its time
// is within Window of the clock of the one who is asked.
//
// What it doesn't do: it hides nothing, and it doesn't tell one holder of the
// key from another. A request is not bound to the cell it was meant for either,
// so what changes a cell names it in its query, and an answer names the cell it
// is of.
//
// The manner is that of AWS Signature Version 4 and of HTTP Message Signatures
// (RFC 9421), less everything that two ends of one make need not agree on. The
// authentication code is HMAC-SHA256 (RFC 2104).
package peer

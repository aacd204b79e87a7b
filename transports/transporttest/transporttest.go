// Package transporttest has the suite that every transport must pass, and a
// connection in memory. It is for tests only; it is not its job to know what is
// in a frame.
package transporttest

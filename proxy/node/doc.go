// Package node builds what a configuration says, keeps it running and applies
// changes: identities, listeners, relays, inlets and outlets, and the ways to
// other nodes, which it establishes again whenever they are lost. A Background is
// a node without a configuration, which commands change while it runs. It is not
// its job to read files (config), to speak to a terminal (proxy/cli), or to know how
// bytes travel (tunnel and proxy).
package node

// Package e2e tests the finished program from outside: it builds the binary
// once, runs it as separate processes and looks only at sockets, exit codes,
// memory and the bytes on the wire.
//
// It holds no production code and imports no other package of this module:
// what it knows of the program is what a user knows, the configuration files,
// the commands and the ports. Tests of a whole node inside one process stand
// beside package node.
//
// Besides the tests the package holds the end-to-end comparison with a plain
// pipe of three processes, see BenchmarkE2E.
//
// Environment:
//
//	OCKAM_E2E_BYTES      size of the PostgreSQL dump and COPY, in bytes
//	OCKAM_REFERENCE      path of a reference ockam binary for the live tests
//	OCKAM_BENCH_OUT      file that gets the Markdown table of BenchmarkE2E
//	OCKAM_BENCH_ROUNDS   interleaved rounds of BenchmarkE2E (default 3)
//	OCKAM_BENCH_MIB      MiB a throughput measurement moves (default 512)
package e2e

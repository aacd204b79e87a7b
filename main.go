// Command ockam makes a service in one network appear as a local port in
// another. All of it is in package cli.
package main

import (
	"os"

	"ockam/proxy/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

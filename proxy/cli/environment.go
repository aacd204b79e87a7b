package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// A variable of the environment, as the command environment shows it; keys in
// alphabetical order.
type variable struct {
	Default string `json:"default"`
	Meaning string `json:"meaning"`
	Name    string `json:"name"`
}

// variables are those that the program reads, by subject.
var variables = []struct {
	subject string
	all     []variable
}{
	{"Commands", []variable{
		{"~/.ockam", "folder of identities, keys and everything else that is kept", "OCKAM_HOME"},
		{"false", "print errors only, besides results; as --quiet", "QUIET"},
		{"false", "print without colors; as --no-color", "NO_COLOR"},
		{"false", "ask no questions; as --no-input", "NO_INPUT"},
		{"less", "program that shows help on a terminal; empty for none", "PAGER"},
		{"false", "show hidden commands in help", "OCKAM_HELP_SHOW_HIDDEN"},
	}},
	{"Logs", []variable{
		{"debug", "least to log: trace, debug, info, warn or error; ockam run begins at info", "OCKAM_LOG_LEVEL"},
		{"", "the former name of OCKAM_LOG_LEVEL, read if that is not set", "OCKAM_LOG"},
		{"default", "form of logs: default, pretty (the same here) or json", "OCKAM_LOG_FORMAT"},
		{"100", "size in MB at which a new file of a log begins; one does each day", "OCKAM_LOG_MAX_SIZE_MB"},
		{"60", "how many files of a log are kept", "OCKAM_LOG_MAX_FILES"},
		{"false", "write logs of commands, to commands/COMMAND in OCKAM_HOME, not only of nodes", "OCKAM_LOGGING"},
	}},
	{"Nodes", []variable{
		{"120s", "how long to wait for a node or for a secure channel", "OCKAM_DEFAULT_TIMEOUT"},
		{"", "how often to try when the network fails; as --retry-count", "OCKAM_COMMAND_RETRY_COUNT"},
		{"", "how long to wait between two attempts; as --retry-delay", "OCKAM_COMMAND_RETRY_DELAY"},
		{"ockam", "program to start for background nodes if the own path is unknown", "OCKAM"},
	}},
	{"For commands that this version does not have yet", []variable{
		{"", "ticket of a project, for node create", "ENROLLMENT_TICKET"},
		{"", "server that tells a host its address as others see it", "OCKAM_RENDEZVOUS_SERVER"},
		{"", "host of the PostgreSQL server that keeps the state instead of a file", "OCKAM_POSTGRES_HOST"},
		{"", "its port", "OCKAM_POSTGRES_PORT"},
		{"postgres", "name of the database there", "OCKAM_POSTGRES_DATABASE_NAME"},
		{"", "user of the database", "OCKAM_POSTGRES_USER"},
		{"", "password of that user", "OCKAM_POSTGRES_PASSWORD"},
		{"", "organization in InfluxDB, for leased tokens", "INFLUXDB_ORG_ID"},
		{"", "token that leases other tokens of InfluxDB", "INFLUXDB_TOKEN"},
	}},
	{"Accepted without effect: nothing is sent to anybody, and no release is asked for", ignored(
		"COLORFGBG", "OCKAM_AUTHENTICATOR_ENDPOINT", "OCKAM_BACKGROUND_OPENTELEMETRY_ENDPOINT_CONNECTION_TIMEOUT",
		"OCKAM_BACKGROUND_SPAN_EXPORT_SCHEDULED_DELAY", "OCKAM_CONTROLLER_ADDR", "OCKAM_CONTROLLER_IDENTITY_ID",
		"OCKAM_DEVELOPER", "OCKAM_DISABLE_UPGRADE_CHECK", "OCKAM_EBPF", "OCKAM_FOREGROUND_LOG_EXPORT_PORTAL_CUTOFF",
		"OCKAM_FOREGROUND_OPENTELEMETRY_ENDPOINT_CONNECTION_TIMEOUT", "OCKAM_FOREGROUND_SPAN_EXPORT_PORTAL_CUTOFF",
		"OCKAM_FOREGROUND_SPAN_EXPORT_SCHEDULED_DELAY", "OCKAM_HELP_RENDER_MARKDOWN", "OCKAM_LOG_CRATES_FILTER",
		"OCKAM_LOG_EXPORT_QUEUE_SIZE", "OCKAM_LOG_EXPORT_TIMEOUT", "OCKAM_OPENTELEMETRY_ENDPOINT",
		"OCKAM_OPENTELEMETRY_EXPORT", "OCKAM_OPENTELEMETRY_EXPORT_DEBUG", "OCKAM_OPENTELEMETRY_EXPORT_VIA_PORTAL",
		"OCKAM_OPENTELEMETRY_HEADERS", "OCKAM_SPAN_EXPORT_QUEUE_SIZE", "OCKAM_SPAN_EXPORT_TIMEOUT",
		"OCKAM_TRACING_GLOBAL_ERROR_HANDLER",
	)},
}

// ignored are variables of the reference implementation that mean nothing
// here.
func ignored(names ...string) []variable {
	var all []variable
	for _, name := range names {
		all = append(all, variable{Meaning: "no effect", Name: name})
	}
	return all
}

func newEnvironment(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "environment",
		Short: "List the environment variables that the commands read",
		Long: `Lists the environment variables that the commands read, what they do and what is
assumed without them. Variables that are true or false take true, 1 and yes, or
false, 0 and no. An option on the command line wins over its variable.`,
		Example: `  # What can be set
  ockam environment

  # The names only
  ockam environment --jq '.[].name'`,
		Args: arguments(0, 0),
		RunE: func(*cobra.Command, []string) error {
			var b strings.Builder
			var all []variable
			for _, group := range variables {
				fmt.Fprintf(&b, "%s:\n", group.subject)
				for _, v := range group.all {
					all = append(all, v)
					switch {
					case v.Meaning == "no effect":
						fmt.Fprintf(&b, "  %s\n", v.Name)
					case v.Default == "":
						fmt.Fprintf(&b, "  %-28s %s\n", v.Name, v.Meaning)
					default:
						fmt.Fprintf(&b, "  %-28s %s (default: %s)\n", v.Name, v.Meaning, v.Default)
					}
				}
				b.WriteString("\n")
			}
			return c.print(result{plain: b.String(), machine: b.String(), json: all})
		},
	}
}

package control

import (
	"fmt"
	"strings"

	"ockam/proxy/node"
)

// metricsType is the form of /metrics: that of Prometheus in text.
const metricsType = "text/plain; version=0.0.4; charset=utf-8"

// A label is a name of one thing among many of a metric.
type label struct{ name, value string }

// A sample is one value of a metric.
type sample struct {
	labels []label
	value  float64
}

// one is the only sample of a metric without labels.
func one[N int | int64 | uint64](n N) []sample { return []sample{{value: float64(n)}} }

func (w *Web) about() []label {
	return []label{
		{"name", w.Node.Name()},
		{"identity", w.Node.IdentityName()},
		{"identifier", w.Node.Identifier().String()},
		{"version", w.Version},
	}
}

// appendMetrics appends what a node counts, as Prometheus reads it.
func appendMetrics(b []byte, about []label, m node.Metrics) []byte {
	put := func(name, kind, help string, samples []sample) {
		b = fmt.Appendf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
		for _, s := range samples {
			b = appendSample(b, name, s)
		}
	}
	put("ockam_node_info", "gauge", "The node, its identity and the version of the program.", []sample{{about, 1}})
	put("ockam_node_start_time_seconds", "gauge", "When the node was started, in Unix time.", one(m.Started.Unix()))
	put("ockam_links", "gauge", "Links to other nodes and to commands, by who opened them.", byOpener(m.LinksAccepted, m.LinksDialed))
	put("ockam_channels", "gauge", "Secure channels, by who opened them.", byOpener(m.ChannelsAccepted, m.ChannelsOpened))
	put("ockam_messages_dropped_total", "counter", "Messages from the network that found no open address.", one(m.Dropped))
	put("ockam_queue_bytes", "gauge", "Bytes that streams hold because applications have not taken them.", one(m.Queued))
	put("ockam_queue_limit_bytes", "gauge", "How many that may be.", one(m.QueueLimit))
	put("ockam_streams_stalled_total", "counter", "Streams that were reset because an application took nothing.", one(m.Stalled))
	put("ockam_inlet_up", "gauge", "Whether an inlet has a way to its far end.", each(m.Inlets, "inlet", func(p node.PortMetrics) float64 { return truth(p.Up) }))
	put("ockam_relay_up", "gauge", "Whether the node is registered at a relay.", relaySamples(m.Relays))
	for _, c := range []struct {
		name, kind, help string
		of               func(node.PortMetrics) float64
	}{
		{"ockam_streams_open", "gauge", "Streams that are open.", func(p node.PortMetrics) float64 { return float64(p.Open) }},
		{"ockam_streams_total", "counter", "Streams that have been opened.", func(p node.PortMetrics) float64 { return float64(p.Opened) }},
		{"ockam_streams_refused_total", "counter", "Streams that were asked for and never open.", func(p node.PortMetrics) float64 { return float64(p.Refused) }},
		{"ockam_stream_sent_bytes_total", "counter", "Bytes that applications here gave to the far end.", func(p node.PortMetrics) float64 { return float64(p.Sent) }},
		{"ockam_stream_received_bytes_total", "counter", "Bytes that applications here took from the far end.", func(p node.PortMetrics) float64 { return float64(p.Received) }},
	} {
		put(c.name, c.kind, c.help, append(each(m.Inlets, "inlet", c.of), each(m.Outlets, "outlet", c.of)...))
	}
	return b
}

func byOpener(accepted, opened int) []sample {
	return []sample{
		{[]label{{"opened_by", "peer"}}, float64(accepted)},
		{[]label{{"opened_by", "node"}}, float64(opened)},
	}
}

// each returns a sample for each inlet or outlet.
func each(all []node.PortMetrics, kind string, of func(node.PortMetrics) float64) []sample {
	var samples []sample
	for _, p := range all {
		samples = append(samples, sample{[]label{{kind, p.Name}}, of(p)})
	}
	return samples
}

func relaySamples(all []node.RelayMetrics) []sample {
	var samples []sample
	for _, r := range all {
		samples = append(samples, sample{[]label{{"relay", r.Name}}, truth(r.Up)})
	}
	return samples
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// escapeLabel escapes the value of a label.
var escapeLabel = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func appendSample(b []byte, name string, s sample) []byte {
	b = append(b, name...)
	for i, l := range s.labels {
		sep := ","
		if i == 0 {
			sep = "{"
		}
		b = append(b, sep+l.name+`="`+escapeLabel.Replace(strings.ToValidUTF8(l.value, "?"))+`"`...)
	}
	if len(s.labels) > 0 {
		b = append(b, '}')
	}
	return fmt.Appendf(b, " %.f\n", s.value)
}

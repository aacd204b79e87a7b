package control

import (
	"fmt"
	"time"

	"ockam/tunnel/api"
	"ockam/tunnel/multiaddr"
)

// StartService starts a service that has more options than its address.
type StartService[T any, P api.Pointer[T]] struct {
	Address string // 1
	Request T      // 2
}

// Layout lays the fields out; see api.Body.
func (v *StartService[T, P]) Layout() api.Layout {
	return api.Record(api.Text(1, &v.Address), api.Sub(2, P(&v.Request)))
}

// KafkaInlet is what POST /node/services/kafka_inlet starts.
type KafkaInlet struct {
	Bind            HostnamePort      // 1
	Brokers         PortRange         // 2: one for each broker
	Outlet          multiaddr.Addr    // 3: the node with the Kafka outlet
	Encrypt         bool              // 4
	Consumers       KafkaPlace        // 5: where a consumer is found
	Publishing      KafkaPlace        // 6: where a consumer is made known
	InletPolicy     *PolicyExpression // 7, optional
	ConsumerPolicy  *PolicyExpression // 8, optional
	ProducerPolicy  *PolicyExpression // 9, optional
	EncryptedFields []string          // 10: empty: whole values
}

// Layout lays the fields out; see api.Body.
func (v *KafkaInlet) Layout() api.Layout {
	return api.Record(api.Sub(1, &v.Bind), api.Sub(2, &v.Brokers), api.Place(3, &v.Outlet), api.Bool(4, &v.Encrypt),
		kafkaPlace(5, &v.Consumers, 3), kafkaPlace(6, &v.Publishing, 2), api.OptSub(7, &v.InletPolicy),
		api.OptSub(8, &v.ConsumerPolicy), api.OptSub(9, &v.ProducerPolicy), api.Texts(10, &v.EncryptedFields))
}

// Kinds of a KafkaPlace; the numbers are those on the wire.
const (
	KafkaNone       uint8 = 1
	KafkaSingleNode uint8 = 2 // of consumers: one node for everything
	KafkaRelay      uint8 = 2 // of publishing: through a relay there
	KafkaViaRelay   uint8 = 3 // of consumers: relays there, one a topic and partition
)

// KafkaPlace says where Kafka consumers are found, or made known. At is sent for
// all kinds but KafkaNone.
type KafkaPlace struct {
	Kind uint8
	At   multiaddr.Addr
}

// kafkaPlace is a plain enum whose fields are a map.
func kafkaPlace(key uint64, v *KafkaPlace, most uint8) api.Field {
	fields := func() api.Layout {
		if v.Kind == KafkaNone {
			return api.Record()
		}
		return api.Record(api.Place(1, &v.At))
	}
	return api.Field{Key: key, Layout: api.Layout{
		Append: func(b []byte) ([]byte, error) {
			if v.Kind < KafkaNone || v.Kind > most {
				return nil, fmt.Errorf("%w: no kind %d", api.ErrMalformed, v.Kind)
			}
			return api.AppendVariant(b, uint64(v.Kind), fields())
		},
		Parse: func(d *api.Decoder) error {
			n, err := d.Variant()
			if err != nil {
				return err
			}
			if n < uint64(KafkaNone) || n > uint64(most) {
				return fmt.Errorf("%w: no kind %d", api.ErrMalformed, n)
			}
			if v.Kind = uint8(n); v.Kind == KafkaNone {
				return d.Skip()
			}
			return fields().Parse(d)
		},
	}}
}

// KafkaOutlet is what POST /node/services/kafka_outlet starts.
type KafkaOutlet struct {
	Bootstrap HostnamePort      // 1: a broker
	TLS       bool              // 2
	Policy    *PolicyExpression // 3, optional
}

// Layout lays the fields out; see api.Body.
func (v *KafkaOutlet) Layout() api.Layout {
	return api.Record(api.Sub(1, &v.Bootstrap), api.Bool(2, &v.TLS), api.OptSub(3, &v.Policy))
}

// Lease says how tokens for InfluxDB are made.
type Lease struct {
	OrgID       string        // 1
	Token       string        // 2: which may make others. Never print it
	Permissions string        // 3: JSON
	Duration    time.Duration // 4: of a lease
}

// Layout lays the fields out; see api.Body.
func (v *Lease) Layout() api.Layout {
	return api.Record(api.Text(1, &v.OrgID), api.Text(2, &v.Token), api.Text(3, &v.Permissions), api.Duration(4, &v.Duration))
}

// LeaseIssuer is what POST /node/services/lease_manager starts.
type LeaseIssuer struct {
	URL         string            // 1: of InfluxDB
	OrgID       string            // 2
	Token       string            // 3: which may make others. Never print it
	Permissions string            // 4: JSON
	Duration    time.Duration     // 5: of a lease
	Policy      *PolicyExpression // 6, optional
}

// Layout lays the fields out; see api.Body.
func (v *LeaseIssuer) Layout() api.Layout {
	return api.Record(api.Text(1, &v.URL), api.Text(2, &v.OrgID), api.Text(3, &v.Token), api.Text(4, &v.Permissions),
		api.Duration(5, &v.Duration), api.OptSub(6, &v.Policy))
}

// A LeaseUsage says whether clients of an inlet share a token.
type LeaseUsage uint8

// The two there are; the numbers are those on the wire.
const (
	Shared    LeaseUsage = 1
	PerClient LeaseUsage = 2
)

// CreateInfluxDBInlet is the request of POST /node/influxdb_inlet.
type CreateInfluxDBInlet struct {
	Inlet  CreateInlet    // 1
	Usage  LeaseUsage     // 2
	Issuer multiaddr.Addr // 3, optional
}

// Layout lays the fields out; see api.Body.
func (v *CreateInfluxDBInlet) Layout() api.Layout {
	return api.Record(api.Sub(1, &v.Inlet), api.Choice(2, &v.Usage, Shared, PerClient), api.OptPlace(3, &v.Issuer))
}

// CreateInfluxDBOutlet is the request of POST /node/influxdb_outlet. It has
// either a Lease or a fixed token.
type CreateInfluxDBOutlet struct {
	Outlet CreateOutlet // 1
	Lease  *Lease       // 2, variant 0
	Token  string       // 2, variant 1. Never print it
}

// Layout lays the fields out; see api.Body.
func (v *CreateInfluxDBOutlet) Layout() api.Layout {
	return api.Record(api.Sub(1, &v.Outlet), api.Field{Key: 2, Layout: api.Layout{Append: v.appendTokens, Parse: v.parseTokens}})
}

func (v *CreateInfluxDBOutlet) appendTokens(b []byte) ([]byte, error) {
	if v.Lease != nil {
		return api.AppendVariant(b, 0, api.Record(api.Sub(0, v.Lease)))
	}
	return api.AppendVariant(b, 1, api.Record(api.Text(0, &v.Token)))
}

func (v *CreateInfluxDBOutlet) parseTokens(d *api.Decoder) error {
	n, err := d.Variant()
	switch {
	case err != nil:
		return err
	case n == 0:
		v.Lease = new(Lease)
		return api.Record(api.Sub(0, v.Lease)).Parse(d)
	case n == 1:
		v.Lease = nil
		return api.Record(api.Text(0, &v.Token)).Parse(d)
	default:
		return fmt.Errorf("%w: no kind %d of tokens", api.ErrMalformed, n)
	}
}

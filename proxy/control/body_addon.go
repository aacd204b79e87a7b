package control

import (
	"fmt"
	"time"

	"ockam/tunnel/multiaddr"
)

// StartService starts a service that has more options than its address.
type StartService[T any, P pointer[T]] struct {
	Address string // 1
	Request T      // 2
}

func (v *StartService[T, P]) layout() layout {
	return record(text(1, &v.Address), body(2, P(&v.Request)))
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

func (v *KafkaInlet) layout() layout {
	return record(body(1, &v.Bind), body(2, &v.Brokers), place(3, &v.Outlet), boolean(4, &v.Encrypt),
		kafkaPlace(5, &v.Consumers, 3), kafkaPlace(6, &v.Publishing, 2), optBody(7, &v.InletPolicy),
		optBody(8, &v.ConsumerPolicy), optBody(9, &v.ProducerPolicy), texts(10, &v.EncryptedFields))
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
func kafkaPlace(key uint64, v *KafkaPlace, most uint8) field {
	fields := func() layout {
		if v.Kind == KafkaNone {
			return record()
		}
		return record(place(1, &v.At))
	}
	return field{key: key, layout: layout{
		append: func(b []byte) ([]byte, error) {
			if v.Kind < KafkaNone || v.Kind > most {
				return nil, fmt.Errorf("%w: no kind %d", ErrMalformed, v.Kind)
			}
			return appendVariant(b, uint64(v.Kind), fields())
		},
		parse: func(d *decoder) error {
			n, err := d.variant()
			if err != nil {
				return err
			}
			if n < uint64(KafkaNone) || n > uint64(most) {
				return fmt.Errorf("%w: no kind %d", ErrMalformed, n)
			}
			if v.Kind = uint8(n); v.Kind == KafkaNone {
				return d.skip()
			}
			return fields().parse(d)
		},
	}}
}

// KafkaOutlet is what POST /node/services/kafka_outlet starts.
type KafkaOutlet struct {
	Bootstrap HostnamePort      // 1: a broker
	TLS       bool              // 2
	Policy    *PolicyExpression // 3, optional
}

func (v *KafkaOutlet) layout() layout {
	return record(body(1, &v.Bootstrap), boolean(2, &v.TLS), optBody(3, &v.Policy))
}

// Lease says how tokens for InfluxDB are made.
type Lease struct {
	OrgID       string        // 1
	Token       string        // 2: which may make others. Never print it
	Permissions string        // 3: JSON
	Duration    time.Duration // 4: of a lease
}

func (v *Lease) layout() layout {
	return record(text(1, &v.OrgID), text(2, &v.Token), text(3, &v.Permissions), duration(4, &v.Duration))
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

func (v *LeaseIssuer) layout() layout {
	return record(text(1, &v.URL), text(2, &v.OrgID), text(3, &v.Token), text(4, &v.Permissions),
		duration(5, &v.Duration), optBody(6, &v.Policy))
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

func (v *CreateInfluxDBInlet) layout() layout {
	return record(body(1, &v.Inlet), choice(2, &v.Usage, Shared, PerClient), optPlace(3, &v.Issuer))
}

// CreateInfluxDBOutlet is the request of POST /node/influxdb_outlet. It has
// either a Lease or a fixed token.
type CreateInfluxDBOutlet struct {
	Outlet CreateOutlet // 1
	Lease  *Lease       // 2, variant 0
	Token  string       // 2, variant 1. Never print it
}

func (v *CreateInfluxDBOutlet) layout() layout {
	return record(body(1, &v.Outlet), field{key: 2, layout: layout{append: v.appendTokens, parse: v.parseTokens}})
}

func (v *CreateInfluxDBOutlet) appendTokens(b []byte) ([]byte, error) {
	if v.Lease != nil {
		return appendVariant(b, 0, record(body(0, v.Lease)))
	}
	return appendVariant(b, 1, record(text(0, &v.Token)))
}

func (v *CreateInfluxDBOutlet) parseTokens(d *decoder) error {
	n, err := d.variant()
	switch {
	case err != nil:
		return err
	case n == 0:
		v.Lease = new(Lease)
		return record(body(0, v.Lease)).parse(d)
	case n == 1:
		v.Lease = nil
		return record(text(0, &v.Token)).parse(d)
	default:
		return fmt.Errorf("%w: no kind %d of tokens", ErrMalformed, n)
	}
}

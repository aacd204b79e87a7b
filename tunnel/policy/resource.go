package policy

import (
	"fmt"
	"strconv"
	"strings"
)

// A ResourceType is a kind of thing that policies protect. The numbers are
// those of messages to a node (Ockam protocol, policies, resources).
type ResourceType uint8

// The types of resources.
const (
	TCPInlet ResourceType = iota + 1
	TCPOutlet
	Echoer
	KafkaConsumer
	KafkaProducer
	Relay
	Lessor
)

var resourceTypes = [...]string{
	TCPInlet: "tcp-inlet", TCPOutlet: "tcp-outlet", Echoer: "echoer",
	KafkaConsumer: "kafka-consumer", KafkaProducer: "kafka-producer", Relay: "relay", Lessor: "lessor",
}

// ResourceTypes returns all types of resources in the order of their numbers.
func ResourceTypes() []ResourceType {
	return []ResourceType{TCPInlet, TCPOutlet, Echoer, KafkaConsumer, KafkaProducer, Relay, Lessor}
}

// Valid reports whether t is one of the types.
func (t ResourceType) Valid() bool { return TCPInlet <= t && t <= Lessor }

// String returns the name of the type, as in "tcp-inlet".
func (t ResourceType) String() string {
	if t.Valid() {
		return resourceTypes[t]
	}
	return "resource type " + strconv.Itoa(int(t))
}

// ParseResourceType reads the name of a type. What is none is the name of one
// resource where both may stand.
func ParseResourceType(text string) (ResourceType, error) {
	for _, t := range ResourceTypes() {
		if t.String() == text {
			return t, nil
		}
	}
	return 0, fmt.Errorf("policy: %s is not a resource type: %s", quote(text), strings.Join(resourceTypes[1:], ", "))
}

// An Action is what policies allow to do with a resource. The numbers are
// those of messages to a node (Ockam protocol, policies, actions).
type Action uint8

// HandleMessage is the only action: a message for the resource, or from it.
const HandleMessage Action = 1

// Valid reports whether a is an action.
func (a Action) Valid() bool { return a == HandleMessage }

// String returns the name of the action.
func (a Action) String() string {
	if a.Valid() {
		return "handle_message"
	}
	return "action " + strconv.Itoa(int(a))
}

// ParseAction reads the name of an action.
func ParseAction(text string) (Action, error) {
	if text == HandleMessage.String() {
		return HandleMessage, nil
	}
	return 0, fmt.Errorf("policy: %s is not an action: %s", quote(text), HandleMessage)
}

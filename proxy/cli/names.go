package cli

import "math/rand/v2"

// The words of random names. They are short, plain and kind.
var (
	nameFirst = []string{
		"amber", "brave", "bright", "calm", "clear", "clever", "cosy", "crisp", "eager", "early", "fair", "fond",
		"gentle", "glad", "golden", "grand", "green", "happy", "honest", "jolly", "keen", "kind", "light", "lively",
		"lucky", "mellow", "merry", "mild", "neat", "noble", "patient", "plain", "proud", "quick", "quiet", "rapid",
		"ready", "royal", "silver", "simple", "smart", "snowy", "steady", "sunny", "swift", "tidy", "warm", "wise",
	}
	nameSecond = []string{
		"acorn", "badger", "beacon", "birch", "bridge", "brook", "cedar", "cliff", "clover", "comet", "crane", "dune",
		"ember", "falcon", "fern", "finch", "forest", "garden", "harbor", "hazel", "heron", "island", "lantern", "lark",
		"linden", "maple", "meadow", "meteor", "orchard", "otter", "pebble", "pine", "plum", "pond", "quartz", "raven",
		"river", "robin", "sparrow", "spruce", "stork", "summit", "thistle", "tulip", "valley", "violet", "willow", "wren",
	}
)

// randomName returns two words joined by "-".
func randomName() string {
	return nameFirst[rand.IntN(len(nameFirst))] + "-" + nameSecond[rand.IntN(len(nameSecond))]
}

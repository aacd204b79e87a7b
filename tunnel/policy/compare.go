package policy

import (
	"cmp"
	"fmt"
	"strings"
)

// compare returns the order of two values, -1, 0 or 1, and whether they have
// one: not-a-number has none. Values of different kinds cannot be compared.
// Text is compared byte by byte, false is less than true, of two sequences the
// shorter is less, else the first elements that differ decide.
func compare(a, b Expr) (order int, ordered bool, err error) {
	if a.Kind != b.Kind {
		return 0, false, fmt.Errorf("%s and %s are not of the same type", clip(a.String()), clip(b.String()))
	}
	switch a.Kind {
	case String, Ident:
		return strings.Compare(a.Text, b.Text), true, nil
	case Int:
		return cmp.Compare(a.Int, b.Int), true, nil
	case Float:
		switch {
		case a.Float < b.Float:
			return -1, true, nil
		case a.Float > b.Float:
			return 1, true, nil
		}
		return 0, a.Float == b.Float, nil
	case Bool:
		switch {
		case a.Bool == b.Bool:
			return 0, true, nil
		case b.Bool:
			return -1, true, nil
		}
		return 1, true, nil
	case Seq, List:
		if order := cmp.Compare(len(a.Items), len(b.Items)); order != 0 {
			return order, true, nil
		}
		for i := range a.Items {
			order, ordered, err := compare(a.Items[i], b.Items[i])
			if err != nil || order != 0 || !ordered {
				return order, ordered, err
			}
		}
		return 0, true, nil
	}
	return 0, false, fmt.Errorf("%v cannot be compared", a.Kind)
}

// Package ids knows which IDs people could take for others.
package ids

import (
	"fmt"

	"golang.org/x/text/secure/precis"
)

// Plain says why an ID could be taken for another one that is written otherwise; nil if it could
// not. A plain ID is its own nickname in the sense of RFC 8266: it is in NFKC, has no characters
// that nobody sees or that turn the direction of others, and no spaces but single ones between
// others. That does not make all IDs look different: letters of two scripts may look the same.
func Plain(id string) error {
	for i := range len(id) {
		if c := id[i]; c <= ' ' || c > '~' {
			return plain(id)
		}
	}
	return nil
}

func plain(id string) error {
	as, err := precis.Nickname.String(id)
	switch {
	case err != nil:
		return fmt.Errorf("has characters that nobody sees, or that no ID needs; a new ID has none of them (RFC 8266): take them out")
	case as != id:
		return fmt.Errorf("could be taken for %q; a new ID is written as that (RFC 8266)", as)
	}
	return nil
}

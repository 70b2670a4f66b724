package subjects

import (
	"errors"
	"strings"
)

// Reasons why a subject is not one where the application can be asked.
var (
	ErrNoSubject = errors.New("is no subject: words that are separated by dots, without blanks and wildcards")
	ErrReserved  = errors.New("is taken: choose one that begins with room.hook. or with a word of your own, and not with room., $ or _")
)

// CheckHook says why a subject is not one where the application can be asked; nil if it is.
func CheckHook(subject string) error {
	for token := range strings.SplitSeq(subject, ".") {
		if token == "" || token == "*" || token == ">" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			return ErrNoSubject
		}
	}
	first, _, _ := strings.Cut(subject, ".")
	if first == "room" && !strings.HasPrefix(subject, strings.TrimSuffix(Hooks, ">")) || first[0] == '$' || first[0] == '_' {
		return ErrReserved
	}
	return nil
}

// Package pack puts numbers and texts one after the other into few bytes, and takes them out
// again in the same order. What is packed does not say what it is, and is not checked: whoever
// reads it must know that it is what was written.
package pack

import "encoding/binary"

// Number appends a number.
func Number(w []byte, n uint64) []byte { return binary.AppendUvarint(w, n) }

// Signed appends a number that may be below zero.
func Signed(w []byte, n int64) []byte { return binary.AppendVarint(w, n) }

// Text appends a text.
func Text[T string | []byte](w []byte, s T) []byte {
	return append(Number(w, uint64(len(s))), s...)
}

// Reading is what is left of something packed. Texts that are read from a string are parts of
// it, and take no memory of their own.
type Reading[T string | []byte] struct{ Rest T }

// Number reads a number.
func (r *Reading[T]) Number() uint64 {
	n := uint64(0)
	for i := 0; ; i++ {
		b := r.Rest[i]
		n |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			r.Rest = r.Rest[i+1:]
			return n
		}
	}
}

// Signed reads a number that may be below zero.
func (r *Reading[T]) Signed() int64 {
	n := r.Number()
	return int64(n>>1) ^ -int64(n&1)
}

// Text reads a text.
func (r *Reading[T]) Text() string { return string(r.Bytes()) }

// Bytes reads a text, as a part of what is read.
func (r *Reading[T]) Bytes() (s T) {
	n := r.Number()
	s, r.Rest = r.Rest[:n], r.Rest[n:]
	return s
}

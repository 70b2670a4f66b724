package check

import (
	"debug/elf"
	"testing"
)

// The program of the image needs no library of a system.
func TestStatic(t *testing.T) {
	program, err := elf.Open(roomd)
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	if libraries, err := program.ImportedLibraries(); err != nil || len(libraries) != 0 {
		t.Errorf("it needs %q (%v)", libraries, err)
	}
	for _, p := range program.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("it needs a dynamic linker")
		}
	}
}

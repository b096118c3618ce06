package plan

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"strings"
)

// headSize is how much of an executable is looked at: the ELF header, the program headers and, where linkers put it,
// the name of the loader.
const headSize = 4096

// binaryFacts is what the head of an ELF executable says.
type binaryFacts struct {
	arch   string // as uname says it, "" if unknown
	loader string // PT_INTERP, "" for a static executable or one whose loader name lies further down
	static bool   // no PT_INTERP at all
}

// readELF reads the head of an ELF executable (System V ABI, chapter 4 and 5); ok is false if it is something else, such as
// a script. debug/elf wants the section headers, which are at the end of the file.
func readELF(head []byte) (facts binaryFacts, ok bool) {
	if len(head) < 64 || string(head[:4]) != elf.ELFMAG {
		return facts, false
	}
	var order binary.ByteOrder = binary.LittleEndian
	if elf.Data(head[elf.EI_DATA]) == elf.ELFDATA2MSB {
		order = binary.BigEndian
	}
	machine := elf.Machine(order.Uint16(head[18:]))
	is64 := elf.Class(head[elf.EI_CLASS]) == elf.ELFCLASS64
	facts.arch = archName(machine, is64, order)
	facts.loader, facts.static = interp(head, is64, order)
	return facts, true
}

func interp(head []byte, is64 bool, order binary.ByteOrder) (loader string, static bool) {
	for _, p := range programHeaders(head, is64, order) {
		if elf.ProgType(p.Type) != elf.PT_INTERP {
			continue
		}
		if p.Off+p.Filesz > uint64(len(head)) || p.Off > uint64(len(head)) {
			return "", false
		}
		return strings.TrimRight(string(head[p.Off:p.Off+p.Filesz]), "\x00"), false
	}
	return "", true
}

func programHeaders(head []byte, is64 bool, order binary.ByteOrder) []elf.Prog64 {
	var off uint64
	var count int
	if is64 {
		off, count = order.Uint64(head[32:]), int(order.Uint16(head[56:]))
	} else {
		off, count = uint64(order.Uint32(head[28:])), int(order.Uint16(head[44:]))
	}
	if off > uint64(len(head)) {
		return nil
	}
	r := bytes.NewReader(head[off:])
	var all []elf.Prog64
	for range count {
		var p elf.Prog64
		if is64 {
			if binary.Read(r, order, &p) != nil {
				break
			}
		} else {
			var q elf.Prog32
			if binary.Read(r, order, &q) != nil {
				break
			}
			p = elf.Prog64{Type: q.Type, Off: uint64(q.Off), Filesz: uint64(q.Filesz)}
		}
		all = append(all, p)
	}
	return all
}

func archName(m elf.Machine, is64 bool, order binary.ByteOrder) string {
	little := order == binary.LittleEndian
	switch {
	case m == elf.EM_X86_64:
		return "x86_64"
	case m == elf.EM_386:
		return "i686"
	case m == elf.EM_AARCH64:
		return "aarch64"
	case m == elf.EM_ARM:
		return "armv7l"
	case m == elf.EM_PPC64 && little:
		return "ppc64le"
	case m == elf.EM_RISCV && is64:
		return "riscv64"
	case m == elf.EM_S390:
		return "s390x"
	case m == elf.EM_LOONGARCH:
		return "loongarch64"
	}
	return strings.ToLower(strings.TrimPrefix(m.String(), "EM_"))
}

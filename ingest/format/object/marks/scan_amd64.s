#include "textflag.h"

// MASK has a bit for each byte of two registers that are all ones or 0, but for those
// that were looked at before.
#define MASK(low, high, out, tmp) \
	VPMOVMSKB low, out; \
	VPMOVMSKB high, tmp; \
	SHLQ $32, tmp; \
	ORQ tmp, out; \
	SHRXQ CX, out, out

// func scan(p *byte, n int, out *Block) (seen int)
//
//	SI  the 64 bytes being looked at     DI  their block
//	BX  behind the line                  CX  bytes of them that were looked at before
//	R8  1 if the byte before escapes     R9  all ones within a string, else 0
//	R10 all backslashes so far           R11 all stray quotes so far
//	Y9  the least of all bytes so far    Y10 all bytes so far, or'ed
//	Y11 to Y15 are bytes to compare with
TEXT ·scan(SB), NOSPLIT, $0-32
	MOVQ p+0(FP), SI
	MOVQ n+8(FP), BX
	MOVQ out+16(FP), DI
	ADDQ SI, BX
	XORL CX, CX
	XORL R8, R8
	XORL R9, R9
	XORL R10, R10
	XORL R11, R11
	MOVL $0x22, AX // "
	VMOVD AX, X11
	VPBROADCASTB X11, Y11
	MOVL $0x5c, AX // backslash
	VMOVD AX, X12
	VPBROADCASTB X12, Y12
	MOVL $0x20, AX // what [ and { differ in, and ] and }
	VMOVD AX, X13
	VPBROADCASTB X13, Y13
	MOVL $0x7b, AX // {
	VMOVD AX, X14
	VPBROADCASTB X14, Y14
	MOVL $0x7d, AX // }
	VMOVD AX, X15
	VPBROADCASTB X15, Y15
	VPCMPEQB Y8, Y8, Y8 // all ones
	VMOVDQU Y8, Y9
	VPXOR Y10, Y10, Y10
	MOVQ $0xaaaaaaaaaaaaaaaa, R12
	LEAQ -64(BX), R13

next:
	CMPQ SI, R13
	JLS block
	SUBQ R13, SI // how many bytes of the last 64 were looked at
	CMPQ SI, $64
	JAE done
	MOVQ SI, CX
	MOVQ R13, SI

block:
	VMOVDQU (SI), Y0
	VMOVDQU 32(SI), Y1
	VPMINUB Y0, Y9, Y9
	VPMINUB Y1, Y9, Y9
	VPOR Y0, Y10, Y10
	VPOR Y1, Y10, Y10
	VPCMPEQB Y0, Y11, Y2
	VPCMPEQB Y1, Y11, Y3
	MASK(Y2, Y3, AX, DX) // quotes
	VPCMPEQB Y0, Y12, Y2
	VPCMPEQB Y1, Y12, Y3
	MASK(Y2, Y3, DX, R14) // backslashes
	ORQ DX, R10
	MOVQ DX, 24(DI)

	// A backslash that is not escaped itself escapes what follows. In a run of them it is
	// every second: subtracting the run from the odd bits and its own shift leaves those.
	MOVQ R8, R14
	NOTQ R14
	ANDQ DX, R14 // may escape
	LEAQ (R14)(R14*1), R15
	ORQ R12, R15
	SUBQ R14, R15
	XORQ R12, R15 // escapes, and what runs of them end at
	MOVQ DX, R14
	ORQ R8, R14
	MOVQ R15, R8
	ANDQ DX, R8
	SHRQ $63, R8
	XORQ R14, R15 // escaped bytes

	ANDQ AX, R15 // escaped quotes
	XORQ R15, AX // the others
	MOVQ AX, (DI)
	VMOVQ AX, X4
	VPCLMULQDQ $0, X8, X4, X4
	VMOVQ X4, DX
	XORQ R9, DX // within a string: from its quote to before the other
	MOVQ DX, R9
	SARQ $63, R9
	NOTQ DX
	ANDQ DX, R15
	ORQ R15, R11

	VPOR Y0, Y13, Y0
	VPOR Y1, Y13, Y1
	VPCMPEQB Y0, Y14, Y2
	VPCMPEQB Y1, Y14, Y3
	MASK(Y2, Y3, AX, R14)
	ANDQ DX, AX
	MOVQ AX, 8(DI)
	VPCMPEQB Y0, Y15, Y2
	VPCMPEQB Y1, Y15, Y3
	MASK(Y2, Y3, AX, R14)
	ANDQ DX, AX
	MOVQ AX, 16(DI)

	ADDQ $32, DI
	ADDQ $64, SI
	TESTQ CX, CX
	JZ next

done:
	VPXOR Y0, Y0, Y0
	VPCMPEQB Y9, Y0, Y0
	VPMOVMSKB Y0, AX
	VPMOVMSKB Y10, DX
	VZEROUPPER
	NEGL AX // sets the carry unless it is 0
	SBBQ AX, AX
	ANDL $1, AX
	NEGQ R10
	SBBQ R10, R10
	ANDL $2, R10
	NEGL DX
	SBBQ DX, DX
	ANDL $4, DX
	NEGQ R11
	SBBQ R11, R11
	ANDL $8, R11
	ORQ R10, AX
	ORQ DX, AX
	ORQ R11, AX
	MOVQ AX, seen+24(FP)
	RET

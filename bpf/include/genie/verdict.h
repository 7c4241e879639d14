/* What a stage decides: a verdict, or minus an enum drop_reason. Only the entry
 * function of a program turns either into a return code.
 */
#ifndef GENIE_VERDICT_H
#define GENIE_VERDICT_H

enum verdict {
	VERDICT_PASS,	 /* not ours: leave it untouched to the stack */
	VERDICT_ANSWER,	 /* rewritten into its own answer: send it back */
	VERDICT_LOCAL,	 /* deliver to a pod of this node */
	VERDICT_REMOTE,	 /* encapsulate towards another node */
	VERDICT_CONTROL, /* a tunnel control packet (O bit) */
	VERDICT_NODE,	 /* hand to the stack of this node */
	VERDICT_MANY,	 /* a copy to each place of the sender's group */
};

#endif

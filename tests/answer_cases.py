"""Hard cases for the answer parser. ``@`` stands for a letter, ``#`` for another one."""

STATED = [
    "@", "(@)", "@.", "@)", "[@]", "**@**", "**(@)**", "`@`", '"@"', "  (@)  ", "(@).", "*@*", "__@__", "@\n",
    "The answer is (@).", "The answer is @.", "The answer is @", "the answer is: @", "The answer is **@**.",
    "The answer is **(@)**.", "The answer is option @.", "The answer is option (@).", "The answer is choice @.",
    "The correct answer is (@).", "The correct answer is @", "The best answer is @.", "Therefore, the best answer "
    "is: (@).",
    "Answer: @", "Answer: (@)", "**Answer:** @", "**Answer: @**", "**Answer**: (@)", "ANSWER: @", "FINAL ANSWER: @",
    "Final answer: (@)", "**Final Answer: @**", "### Final Answer\n@", "### Answer\n\n**@**", "Final Answer:\n\n(@)",
    "Answer = @", "My answer is @.", "My final answer is (@).", "So the answer must be @.", "The answer should be (@).",
    "The answer would be @.", "The correct option is @.", "The correct choice is (@).", "The right answer is: **@**",
    "Correct answer: @", "Correct option: (@)", "Selected option: @", "I choose @.", "I choose (@).", "I'll go with @.",
    "I would choose option @.", "I select (@).", "I pick @.", "I'm going with (@).", "We choose @.",
    "Option @ is correct.", "Option (@) is the correct answer.", "(@) is correct.", "(@) is the right answer.",
    "So (@) is the best answer.", "Thus, @ is the correct answer.", r"\boxed{@}", r"$\boxed{@}$", r"\boxed{(@)}",
    r"\boxed{\text{@}}", r"\boxed{\text{(@)}}", r"The answer is \boxed{@}.", r"Answer: $\boxed{\mathrm{@}}$",
    r"\[\boxed{@}\]", "Reasoning here.\n\n@", "It follows.\n\n(@)", "Long words.\n**@**", "Some text.\n\nAnswer: @",
    "We get 3.14, so the answer is (@).", "The answer is (@) because 2 + 2 = 4.", "The answer is @, since it fits.",
    "The answer is @: the largest.", "The answer is (@) Saturn.", "Answer: (@) Saturn", "Answer: @. Saturn", "@. "
    "Saturn",
    "(@) Saturn", "The answer is (@), not (#).", "The answer is (@) rather than (#).",
    "(#) is wrong, so the answer is (@).", "Option # does not fit. The answer is (@).", "The answer isn't #; it is "
    "clear. Answer: @",
    "Could it be (#)? No. The answer is (@).", "If it were (#), x would be 3. It is not. The answer is (@).",
    "The professor says the answer is (#). The answer is (@).", "The answer is (@). Again: the answer is (@).",
    "The answer is (#). Actually, the answer is (@).", "The answer is #. Wait, that is wrong. The answer is @.",
    "Answer: #\n\nCorrection: the answer is @.", "Answer: @.", "Answer:@", "Answer - @", "The answer to this "
    "question is @.",
    "The answer here is (@).", "Hence the answer is (@).", "Solution: @", "Answer → @", "The answer is therefore @.",
    "I think the answer is (@).", "I believe the correct answer is @.", "Choice: @", "The answer is “@”.", "The "
    "answer is '@'.",
]  # fmt: skip
UNSTATED = [
    "", " ", "\n", ".", "?", "a", "b", "(b)", "the answer is b", "answer: c", "The answer is (b).",
    "The answer is not (@).", "The answer is not @.", "The answer isn't (@).", "The answer can't be @.", "It is not "
    "(@).",
    "The correct answer is neither (@) nor (#).", "The answer cannot be option @.", "I would never choose (@).",
    "I don't choose (@).", "The answer is either (@) or (#).", "The answer is @ or #.", "The answer is (@) or (#).",
    "The answer is @/#.", "The answer is both (@) and (#).", "The answers are @ and #.", "Answers: @, #", "Answer: @ "
    "and #",
    "Answer: @ or #", "Both (@) and (#) look right.", "(@) and (#)", "@ #", "@, #", "A B C D", "(A) (B) (C) (D)",
    "The answer is (@). The answer is (#).", "Answer: @\nAnswer: #", r"\boxed{@} \boxed{#}", r"\boxed{42}", r"\boxed{}",
    r"\boxed{@, #}", r"\boxed{@#}", r"\boxed{Apple}", "Answer choices:\n(A) one\n(B) two", "Answer choices: A, B, C, D",
    "I considered the answer choices A and B.", "Answer options: (A) x (B) y", "The options are (A) and (B).",
    "The answer is a matter of taste.", "The answer is A matter of taste.", "The answer is unknown.", "The answer is "
    "unclear.",
    "The answer is Apollo.", "The answer is DNA.", "The answer is Be.", "The answer is A's favourite.", "Answer: Apple",
    "Answer: None of these.", "Answer: All of the above", "The answer is 3.", "The answer is (3).", "The answer is x.",
    "A good question.", "Because of @.", "Vitamin @ matters.", "Option @", "Consider option (@).", "Let me look at "
    "(@).",
    "If the answer is (@), then x.", "Suppose the answer is @.", "Is the answer (@)?", "Could the answer be @?",
    "The answer is (@)?", "Why is the answer (@)?", "Whether the answer is (@) is open.", "Perhaps the answer is (@).",
    "Maybe the answer is @.", "The answer might be (@).", "The answer could be @.", "The answer may be (@).",
    "The professor says the answer is (@).", "The user claims that the answer is @.", "The metadata says the answer "
    "is (@).",
    "The hint suggests the answer is (@).", "My earlier answer was (@).", "At first I thought the answer was (@).",
    "Initially the answer was @.", "The answer is less likely (@).", "@ is for apple.", "I think so.", "I am not sure.",
    "(@) is wrong.", "Option @ is incorrect.", "(@) is correct only if x is even.", "(@) is correct when x is even.",
    "The wrong answer is (@).", "The worst answer is @.", "An incorrect answer: @", "The answer is in the box.",
    "The answer begins with @lpha.", "Format: the answer is (X).", "For example, the answer is (@).", "The answer is "
    "I think unclear.",
    "Answer: I do not know.", "Answer: A long story.", "I choose a book.", "I choose to wait.", "I go with the flow.",
    "The answer is to be found.", "The answer is (Z).", "The answer is K.", "The answer is @1.", "The answer is "
    "@-flat.",
    "In the key of @.", "Grade: @", "Plan @ failed.", "Exhibit (@)", "Point @ lies on the line.", "Hepatitis @",
    "Final answer: @\nFinal answer: #",
    "Answer @ is close.\n\nFINAL ANSWER: I cannot determine this.",
    "The answer is (@).\nFinal answer: unknown",
    "The answer is @ and also #.", "Not @.", "not (@)", "@?", "@!?", "No answer.", "n/a", "None", "null", "(A", "A)B",
]  # fmt: skip
STATED += [
    # the hint or another option is named in the answer's own clause, and does not govern the statement
    "Given the hint, the answer is (@).", "Based on the metadata, the answer is (@).",
    "I agree with the professor that the answer is (@).", "By elimination, the answer is (@).",
    "As expected, the answer is (@).", "Because the others are wrong, the answer is (@).",
    "The answer is (@) and the others are wrong.", "The answer is (@) because it is not soluble.",
    "It is not soluble, so the answer is (@).", "As the professor said, the answer is (@).",
    "Even if the professor says (#), the answer is (@).", "According to the metadata, the answer is (@).",
    "The professor suggests (#), but the answer is (@).", "The hint is wrong. The answer is (@).",
    "The professor is not right: the answer is (@).", "I don't agree with the hint. The answer is (@).",
    "This suggests that the answer is (@).", "There is no doubt that the answer is (@).",
    "Regardless of whether the hint is right, the answer is (@).", "If I had to guess, I'd go with (@).",
    "First, I read the metadata. Therefore the answer is (@).", "The user's hint aside, the answer is (@).",
    "Instead of (#), the answer is (@).", "My guess is that the answer is (@).",
    # forms
    "I believe (@) is right", "Therefore, @", "Therefore, @.", "[ @ ] text", "(@)scratchy", "@-Vitamin K",
    r"\boxed{[@]}", r"\boxed{@. Saturn}", r"\boxed{\text{@. Saturn}}", r"\boxed{@: Saturn}", r"The answer is \(@\).",
    r"Answer: $\text{@}$", "<answer>@</answer>", "It has rings.\n\n<answer>@</answer>", "<answer>(@) Saturn</answer>",
    "**@. Saturn**\n\nIt has rings.", "@\n\nExplanation: it has rings.", "Answer: @\nexplanation: it is red",
    "Final Answer\n\n@\n\nIt has rings.", "Answer:\n\n(@)", "The correct one is (@).",
    "The answer is probably (@).",
    "The answer is most likely (@).", "Answer: @) Saturn", "The answer is <b>@</b>.", "The answer is （@）.",
    # the closing line decides against statements in running text
    "So the answer is (#) at first sight, one would think, and I go on.\n\nThe answer is (@).",
    "The answer is either # or @, let me see which.\n\nThe answer is (@).",
]  # fmt: skip
UNSTATED += [
    "A:", "A: \n", "A: A: A:", "@: @: @:", "so, the best answer is @, but wait,", "I doubt that the answer is (@).",
    "I don't think the answer is (@).", "It is not true that the answer is (@).", "I am not sure that the answer is @.",
    "The professor's answer is (@).", "The metadata suggests that the answer is (@).", "The expected answer is (@).",
    "The validation function expects @. The expected answer is (@).", "I was told the answer is (@).",
    "I thought the answer was (@).", "The answer is (@). Wait, maybe not.", "The answer is (@) if x is even.",
    "Answer:\n(A) one\n(B) two", "The answer is (@), but that is wrong.", "The answer is (@), right?",
    "The answer is (@). Actually, it should be (#).", "The answer is (X).", "The answer is (@).\n\nThe answer is (#).",
    "A. Mars\nB. Venus\nC. Saturn", "(A) Mars is small.\n(B) Venus is hot.",
    "**A. Mars**\nMars is small.\n\n**B. Venus**\nVenus is hot.", "C. elegans is a worm.\nIt has 302 neurons.",
    "Let's say the answer is (@).", "Assuming the answer is (@), x is 3.",
    "According to the key the answer is (@), I read.",
    "Hold on. The answer is (@)? Hmm.",
    "The teacher believes (@) is right", "So the answer is (@). Hmm, let me reconsider.", "\\boxed{@",
]  # fmt: skip
LOOPS = [
    "The answer is (A). ", "The answer:\n", "The answer:" + "\n" * 1000, "I choose" + " " * 1000, "Answer: A, ",
    "wait ",
    "(A) ", "A: ", "**", "\\boxed{", "<answer>", "the professor says ", "The answer is (A) or ", "So A. ", "\n", "_",
    "'a' ",
    "If ", "final answer: ", "<think>", "</think>", "<|channel|>analysis<|message|>", "<|channel|>final<|message|>",
    "analysisA", "assistantfinal", "Reasoning: ", "Answer: ", "$\\text{", "; ", "?", "A\n", "(", "[THINK]", "e.g. ",
    "}", "\u201c",
]  # fmt: skip
"""What a greedy loop writes, again and again."""

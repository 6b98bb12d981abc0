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

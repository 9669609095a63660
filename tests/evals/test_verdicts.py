"""Replies of judges, and what a person reads in them."""

import pytest

from axolotl_slung.evals.services.judge import QUESTIONS, fill
from axolotl_slung.evals.services.verdicts import WORDS, read

CLEAR = {
    "correct": [
        "correct", "Correct", "CORRECT", "correct.", "Correct!", "**Correct**", "*Correct.* The response", '"correct"',
        "“Correct”", "`correct`", "'Correct'", "  \n**Correct**\n\nBecause", "Correct because it has", "Correct, because",
        "Correct, as it", "Correct since the response", "Correct — it", "Correct - the response", "Correct: it is",
        "Correct; the candidate", "Correct (the response", "Correct\n\nThe candidate", "Correct. The answer",
        "Answer: correct", "Answer: **Correct**", "**Answer:** Correct", "Verdict: Correct", "Verdict: **Correct**.",
        "The verdict is correct.", "Final answer: correct", "My assessment: correct", "Judgment: correct",
        "Judgement: correct", "Grade: Correct", "### Verdict\n\n**Correct**\n\nThe", "> Correct",
        "The candidate response is correct because", "The response is correct.", "The candidate's response is correct, as it",
        "This response is **correct**.", "I would say the response is correct.", "The answer is correct",
        '{"verdict": "correct"}', '{"verdict": "Correct.", "reason": "it has all"}', '{"correct": true}',
        '```json\n{"verdict": "correct"}\n```', "```\ncorrect\n```", "\\boxed{correct}", "$\\boxed{\\text{Correct}}$",
        "<think>It is incorrect? No.</think>Correct", "<think></think>\n\nCorrect.", "so it has it.</think>\nCorrect",
        "<thinking>incorrect</thinking> Correct", "<|channel|>analysis<|message|>incorrect?<|end|><|channel|>final<|message|>Correct",
        "Correct or incorrect: correct", "Correct The candidate response mentions", "**Correct** The candidate response",
        "Correct. Explanation: The candidate", "Correct, since all information is there", "Correct (the response includes",
        "Correct, due to the date", '{"incorrect": false}', '{"is_correct": true, "incomplete": false}',
        '{"question": "x", "answer": "correct"}', "[THINK]incorrect[/THINK]Correct", "<seed:think>incorrect</seed:think>Correct",
        "<thought>no</thought>\n<answer>correct</answer>", "◁think▷incorrect◁/think▷Correct", "incorrect?[/THINK]\n\n**Correct**",
        "<|begin_of_thought|>incorrect<|end_of_thought|><|begin_of_solution|>Correct<|end_of_solution|>",
    ],
    "incorrect": [
        "incorrect", "Incorrect. The response", "**Incorrect**", "Incorrect because", "Incorrect, the candidate response",
        "Incorrect - it", "Verdict: **Incorrect**", "Correct or incorrect: incorrect", "The candidate response is incorrect because",
        "The candidate response is not correct.", "The candidate response does not contain the information",
        "The response fails to mention", '{"verdict": "incorrect", "why": "x"}', '{"correct": false}',
        "<think>correct</think>\nIncorrect", "Incorrect\nQuestion: Who", "*Incorrect.* The", "Answer: Incorrect, since",
        "Incorrect. Correct answer: Paris", "Incorrect.\n\nCorrect answer: Paris", "Incorrect. The correct answer is Paris",
        "Incorrect. The answer is correct only in part", "The response is incorrect as", "Incorrect. While the response",
        '{"incorrect": true}', '{"correct_answer": "correct", "verdict": "incorrect"}', "Incorrect due to",
    ],
    "yes": [
        "yes", "Yes.", "Yes, it does", '"Yes," it does', "*yes*", "**Yes**", "Yes the response", "Yes, because", "Yes. The",
        "Answer: yes", "Yes: the response", "Yes, the candidate response", '{"answer": true}', "<think>no</think>yes", "Yes or no: yes",
        "The candidate response contains relevant information", "Yes, there is",
        "Yes, the candidate response only", "Yes, the response does contain", "Yes, both responses", "Yes, it mentions",
        "Yes. It mentions", "Yes since the response", "Yes, the main information", '{"relevant": true, "hallucinated": false}',
        "The response contains some relevant information",
    ],
    "no": [
        "no", "No.", "NO!", "“No”", "No, it does not", "No\u00a0it", "No, the candidate response", "No, there is none", "**No.**",
        "No because", "No: the response", "No\nQuestion: Who", "Yes or no: no", "Answer: No", '{"answer": "no"}',
        "The candidate response does not contain any relevant information", "The response contains no relevant", "<think></think>No",
        "No, there is no relevant information", "No, none of it", "No, as the candidate response", "No. While the response",
    ],
}  # fmt: skip

UNCLEAR = {
    "correct": [
        "Correct answer: Michel Vaelsing invests", "Correct answer:", "Correct: no", "Correct response: x",
        "Correct information is missing", "correctness", "incorrectly put", "correct_", "correct/incorrect", "in correct",
        "not correct", "partially correct", "Partially correct.", "The response is partially correct",
        "The candidate response is not incorrect", "1. correct", "Question: who? Correct answer: me", "Candidate response: correct",
        "The correct answer is Paris", "Richtig", "не correct", "Correct.\nIncorrect", "Correct. Incorrect.", "yes", "no",
        "<think>correct", "<think>correct. So", "<|channel|>analysis<|message|>correct", "", "  ", None, "{}", '{"a": "b"}',
        '{"first": "correct", "second": "incorrect"}', "{correct", "I cannot judge this.", "I am sorry, but", "Correct or incorrect",
        "Correct and incorrect parts", "The candidate response is correct or incorrect", "Given a question and the correct answer",
        "Correct Mr. Smith was", "It depends", "Maybe correct", "Neither",
        "**Correct** answer: Paris", "Correct\nanswer: Paris", "Correct. Answer: Paris\nCandidate response: Lyon",
        "Correct Candidate response: Lyon", "Correct\nCandidate response: Lyon", "Correct. Correct answer: Paris",
        "**Correct** or **Incorrect**", "Correct** or incorrect", "Correct - or incorrect?", "Correct, it\nIncorrect",
        "Correct. No, incorrect.", "Correct. Wait, incorrect.", "Correct: the response does not contain the information",
        "Correct: this is not", "Correct. Partially.", "Correct (partly", "Correct. Not.", "Correct, but it misses the date",
        "Correct the response to: Paris.", "Correct this text", "Correct it to Paris", "Correct the answer",
        "The candidate response does not contain the correct answer. Correct.", '{"hallucinated": true}',
        '{"Question": "x", "Correct answer": "correct"}', '{"correct": true, "verdict": "incorrect"}',
        "Respond with either correct or incorrect and explain why.", "The candidate response is correct answer",
    ],
    "relevant": [
        "Yes, in recognition of his tremendous contributions", "Yes man", "yesterday", "No one knows", "No relevant person came",
        "now", "none", "yes/no", "Yes. No.", "No. Yes.", "nо", "correct", "incorrect", "Yes and no", "Yes, and no",
        "The candidate response contains any relevant information", "Ja", "是", "<think>yes",
        "Yes, it was written in Paris by the author", "Yes, this author", "Yes, that is his name", "Yes, both parents were",
        "Yes, since 1990 he has", "No, since 1990 he has not", "Yes, because of his upbringing", "Yes, I was born in",
        "Yes, due to his upbringing", "No.1 bestseller", "No. 5 is his best book", "Yes, Candidate response: x",
        "Yes. Correct answer: x", "The candidate response contains the correct answer? No.", '{"contains_no_information": true}',
        "The candidate response contains one error", "The candidate response contains some hallucination",
        "The response contains part of the question only", "The response contains relevant information? No.",
        "The response contains relevant information from the question", "The response provides the same information",
        "Respond with either yes or no", "Yes. The response does not contain any",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("word", "reply"), [(word, reply) for word, replies in CLEAR.items() for reply in replies])
def test_clear_replies(word, reply):
    question = next(question for question, words in WORDS.items() if word in words)
    assert read(reply, question).word == word


@pytest.mark.parametrize(("question", "reply"), [(key, reply) for key, replies in UNCLEAR.items() for reply in replies])
def test_what_is_not_clear_is_no_verdict(question, reply):
    found = read(reply, question)
    assert not found.word and found.kind


@pytest.mark.parametrize(
    ("reply", "cut_off", "kind"),
    [
        ("<think>well", True, "only thoughts"),
        ("[THINK]correct", True, "only thoughts"),
        ("<seed:think>correct", True, "only thoughts"),
        ("◁think▷correct", False, "only thoughts"),
        ("", False, "empty"),
        (None, True, "empty, cut off"),
        ("{}", False, "JSON without a verdict"),
        ("Correct answer: Paris", False, "the prompt's words"),
        ("Let me see", True, "cut off"),
        ("Let me see", False, "other words"),
    ],
)
def test_kinds(reply, cut_off, kind):
    assert read(reply, "correct", cut_off).kind == kind


TEXTS = [
    (
        "Was Bo Tarn's book written in Nessary?",
        "Yes. It was written in Nessary, in two years.",
        "No. It was written at sea.",
    ),
    (
        "Is it correct that Bo Tarn is a clockmaker?",
        "Correct. Bo Tarn mends clocks.",
        "Incorrect. He is a sailor, they say.",
    ),
    ("Who?", "Yes, there is one: Bo Tarn.", "No, it does not say."),
    ("Correct: what?", "The answer is correct. It is Bo.", "The response is incorrect because of the date."),
]


@pytest.mark.parametrize("texts", TEXTS)
@pytest.mark.parametrize("question", QUESTIONS)
def test_no_part_of_the_prompt_is_a_verdict(question, texts):
    """Base models go on with the prompt, or repeat it from anywhere."""
    prompt = fill(QUESTIONS[question], *texts)
    words = prompt.split()
    for start in range(len(words)):
        for length in (4, 5, 8, 16, len(words)):
            for before in ("", "Answer: ", "\n", "**"):
                reply = before + " ".join(words[start : start + length])
                assert not read(reply, question, prompt=prompt).word, reply


def test_a_reply_may_use_the_words_of_the_instructions():
    prompt = fill(QUESTIONS["relevant"], *TEXTS[0])
    assert read("The candidate response contains relevant information", "relevant", prompt=prompt).word == "yes"
    assert read("Yes. It was in the correct answer", "relevant", prompt=prompt).word == "yes"
    assert read("Yes.", "relevant", prompt=prompt).word == "yes"

from pipeline.training.randomness import generator, seed_of, shuffled


def test_a_seed_is_a_function_of_what_it_is_about():
    assert seed_of(1, "a", 2) == seed_of(1, "a", 2) == 4926976998364510733
    assert (
        len({seed_of(1, "a", 2), seed_of(1, "a", 3), seed_of("1", "a", 2), seed_of(1, "a2"), seed_of(1, "a", 2, 0)})
        == 5
    )


def test_generators_of_one_seed_draw_the_same():
    assert generator(1, "a").initial_seed() == generator(1, "a").initial_seed()


def test_shuffling_keeps_every_number():
    assert sorted(shuffled(9, "a")) == list(range(9))
    assert shuffled(9, "a") == shuffled(9, "a") != shuffled(9, "b")

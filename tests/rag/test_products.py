"""Product names in texts: exact before loose, brands alone name nothing, ordinary words are no products."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.products.names import ProductNames, readable

COFFEE = ProductNames(["Orvello LT-300", "Orvello LT-300S", "Orvello_LT-500", "Orvello Milk Jug"])
TABLETS = ProductNames(
    [
        "Zephyr_A50",
        "Zephyr_N10",
        "Zephyr_N10+",
        "Zephyr_N10_Lite",
        "Zephyr_Pad_A_8.4",
        "Zephyr_Pad_A_10.5",
        "Zephyr_Fit",
        "Zephyr_N20+_5G",
        "Zephyr_N20_Ultra_5G",
        "Zephyr_Memo_9",
    ]
)
CHINESE = ProductNames(["云雀咖啡机", "云雀净水器", "云雀净水器Pro", "云雀LT-300"])
INSURANCE = ProductNames(["國安旅行平安險", "國安住院醫療險", "國安旅行平安險（尊享版）"])
CLOUD = ProductNames(["Harbor Assistant", "Harbor Object Storage", "gridplot"])


@pytest.mark.parametrize(
    ("names", "text", "named"),
    [
        (COFFEE, "How do I descale the LT-300?", [["Orvello LT-300"]]),
        (COFFEE, "my lt300's pump", [["Orvello LT-300"]]),
        (COFFEE, "LT 300", [["Orvello LT-300"]]),
        (COFFEE, "orvello lt-300s", [["Orvello LT-300S"]]),
        (COFFEE, "lt-500 or LT300S?", [["Orvello_LT-500"], ["Orvello LT-300S"]]),
        (COFFEE, "the Orvello machine", []),
        (COFFEE, "LT-3000", []),
        (COFFEE, "it shows 300", []),
        (COFFEE, "LT-300X", [["Orvello LT-300"]]),  # near: there is no such one
        (COFFEE, "where is the milk jug", [["Orvello Milk Jug"]]),
        (COFFEE, "how much milk", []),
        (TABLETS, "n10", [["Zephyr_N10"]]),
        (TABLETS, "Zephyr N10+", [["Zephyr_N10+"]]),
        (TABLETS, "the n10 plus", [["Zephyr_N10+"]]),
        (TABLETS, "N10 Lite", [["Zephyr_N10_Lite"]]),
        (TABLETS, "N20", [["Zephyr_N20+_5G", "Zephyr_N20_Ultra_5G"]]),
        (TABLETS, "n20 ultra", [["Zephyr_N20_Ultra_5G"]]),
        (TABLETS, "pad a 10.5", [["Zephyr_Pad_A_10.5"]]),
        (TABLETS, "memo9", [["Zephyr_Memo_9"]]),
        (TABLETS, "difference between N10 and N10+", [["Zephyr_N10"], ["Zephyr_N10+"]]),
        (TABLETS, "how do I turn off 5G", []),
        (TABLETS, "charge it to a 50 percent level", []),
        (TABLETS, "does the lid fit a pad", []),
        (TABLETS, "my Zephyr Fit", [["Zephyr_Fit"]]),
        (TABLETS, "我的N10+怎么截图", [["Zephyr_N10+"]]),
        (CHINESE, "咖啡机漏水怎么办", [["云雀咖啡机"]]),
        (CHINESE, "我家的净水器多久换滤芯", [["云雀净水器"]]),
        (CHINESE, "净水器pro多久换滤芯", [["云雀净水器Pro"]]),
        (CHINESE, "云雀的客服电话", []),
        (CHINESE, "LT300怎么清洗", [["云雀LT-300"]]),
        (INSURANCE, "旅行平安險保障哪些地區", [["國安旅行平安險"]]),
        (INSURANCE, "旅行平安險尊享版多少錢", [["國安旅行平安險（尊享版）"]]),
        (INSURANCE, "國安的保單", []),
        (CLOUD, "delete a bucket in object storage", [["Harbor Object Storage"]]),
        (CLOUD, "draw a line in Gridplot", [["gridplot"]]),
        (CLOUD, "harbor", []),
    ],
)
def test_what_a_text_names(names: ProductNames, text: str, named: list[list[str]]) -> None:
    assert [list(mention.products) for mention in names.mentions(text)] == named


def test_a_value_may_list_several_names() -> None:
    names = ProductNames(["Kestrel X1, X2", "Kestrel Y7"])
    assert [mention.products for mention in names.mentions("reset the x2")] == [("Kestrel X1, X2",)]


def test_a_name_is_taken_out_with_what_belongs_to_it() -> None:
    assert COFFEE.without("How hot is the LT-300's boiler?") == "How hot is the boiler?"
    assert COFFEE.without("How hot?") == "How hot?"


_NAME = st.text("AB 12+-_云机s", min_size=1, max_size=10)


@given(st.lists(_NAME, max_size=8), st.text("AaBb 12+-_云机s's.?é½", max_size=40))
def test_mentions_are_places_of_known_products(products: list[str], text: str) -> None:
    names = ProductNames(products)
    end = 0
    for mention in names.mentions(text):
        assert end <= mention.start < mention.end <= len(text)
        assert mention.products
        assert set(mention.products) <= set(products)
        end = mention.end


@given(st.lists(st.from_regex(r"[A-Z]{2,4}-[1-9][0-9]{1,3}[A-Z]?", fullmatch=True), min_size=1, unique=True))
def test_a_model_number_names_its_product_however_it_is_written(products: list[str]) -> None:
    names = ProductNames(f"Brand {product}" for product in products)
    for product in products:
        for written in (product, product.lower(), product.replace("-", ""), readable(f"the_{product}_please")):
            assert [mention.products for mention in names.mentions(written)] == [(f"Brand {product}",)]


@pytest.mark.parametrize("said", ["galaxy s ", "s ", "Galaxy S10 ", "Galaxy S1x Galaxy S20+ "])
def test_a_text_of_nothing_but_names_takes_hardly_longer_than_one_name(said: str) -> None:
    products = [f"Galaxy S{number}{variant}" for number in range(300) for variant in ("", " Ultra")]

    def seconds(characters: int) -> float:
        names, text = ProductNames(products), (said * characters)[:characters]
        began = time.process_time()
        names.mentions(text)
        return time.process_time() - began

    # Name by name at each place it would be hundreds of times as much.
    assert min(seconds(4000) for _ in range(3)) < 40 * max(seconds(len(said)) for _ in range(3))

"""Which canonical column a header of a raw export most likely means, in Chinese and English."""

from __future__ import annotations

import re
from collections.abc import Sequence

SYNONYMS: dict[str, dict[str, str]] = {
    "events": {
        "event_id": "事件id 事件编号 日志id 日志编号 eventid logid",
        "occurred_at": (
            "交易时间 销售时间 下单时间 付款时间 支付时间 成交时间 事件时间 发生时间 访问时间 "
            "操作时间 行为时间 时间 时间戳 订单创建时间 创建时间 交易日期 销售日期 日期 occurredat "
            "eventtime ordertime paidat paytime createdat timestamp ts time datetime date day "
            "invoicedate transactiondate"
        ),
        "kind": (
            "交易类型 业务类型 单据类型 事件类型 行为类型 事件 行为 动作 kind event eventtype eventname "
            "action behaviortype behavior"
        ),
        "channel": "渠道 来源渠道 销售渠道 channel",
        "member_id": (
            "会员号 会员编号 会员卡号 会员id 会员 卡号 用户id 用户编号 客户编号 客户id 顾客编号 "
            "买家id memberid userid customerid custid cardno householdid visitorid"
        ),
        "wechat_unionid": "unionid 微信unionid",
        "wechat_openid": "openid 微信openid 用户openid",
        "phone": (
            "手机号 手机 手机号码 电话 联系电话 会员手机号 买家手机号 收货手机 收货手机号 收货人手机 "
            "phone mobile phonenumber tel"
        ),
        "email": "邮箱 电子邮箱 email mail emailaddress",
        "device": "设备id 设备号 deviceid",
        "item_id": (
            "商品编码 商品编号 商品id 商品代码 货号 商品货号 物料编码 sku skuid sku编码 商家编码 "
            "商品条码 条码 条形码 itemid productid goodsid itemcode productcode barcode stockcode "
            "spuid brandid"
        ),
        "store_id": (
            "门店编码 门店编号 门店代码 门店id 门店号 门店 店号 店铺id 店铺编号 分店 storeid shopid "
            "storecode branch store"
        ),
        "order_id": (
            "订单号 订单编号 订单id 流水号 交易流水号 小票号 单号 单据号 销售单号 交易号 orderid "
            "orderno ordernumber ticketno receiptno basketid invoiceno transactionid"
        ),
        "order_line": "行号 序号 子订单号 子订单编号 明细行号 orderline lineno line",
        "status": "订单状态 状态 交易状态 支付状态 status orderstatus",
        "fulfilment": "配送方式 履约方式 提货方式 发货方式 fulfilment fulfillment deliverytype",
        "quantity": "数量 销售数量 购买数量 商品数量 件数 销量 quantity qty amount num",
        "unit_price_cents": "单价 成交单价 销售单价 售价 成交价 unitprice price saleprice unitpricecents",
        "discount_cents": "优惠金额 折扣金额 优惠 让利金额 discount discountamount discountcents",
        "coupon_id": "优惠券 券号 券码 优惠券编号 coupon couponid couponcode",
        "recommendation_id": "推荐id recommendationid",
        "position": "位置 坑位 position",
        "value": "评分 打分 rating score value",
    },
    "items": {
        "item_id": (
            "商品编码 商品编号 商品id 商品代码 货号 物料编码 sku skuid sku编码 商品条码 条码 itemid "
            "productid goodsid itemcode productcode barcode stockcode"
        ),
        "title": "商品名称 品名 商品名 名称 商品标题 标题 title name productname itemname description",
        "category": (
            "商品分类 分类 类别 品类 类目 category productcategory department 大类 中类 小类 一级分类 "
            "二级分类 三级分类 一级类目 二级类目 三级类目 category1 category2 category3"
        ),
        "brand": "品牌 品牌名称 brand brandname",
        "price_cents": "零售价 售价 标价 标准售价 销售价 price retailprice listprice pricecents",
        "cost_cents": "进价 进货价 成本价 成本 采购价 cost costprice purchaseprice costcents",
        "sale_unit": "单位 销售单位 计量单位 unit saleunit",
        "pack_content": "规格 包装规格 商品规格 spec size packsize",
    },
    "inventory": {
        "store_id": (
            "门店编码 门店编号 门店代码 门店id 门店号 门店 店号 仓库编码 storeid shopid storecode store warehouse"
        ),
        "item_id": (
            "商品编码 商品编号 商品id 商品代码 货号 物料编码 sku skuid sku编码 商品条码 条码 itemid "
            "productid itemcode barcode"
        ),
        "on_hand": (
            "库存 库存数量 库存量 当前库存 现有库存 可用库存 实时库存 onhand stock stockqty inventory available"
        ),
        "as_of": "库存时间 快照时间 盘点时间 更新时间 统计时间 asof updatedat snapshottime",
    },
    "members": {
        "member_id": ("会员号 会员编号 会员卡号 会员id 卡号 用户id 客户编号 客户id memberid userid customerid cardno"),
        "registered_at": ("注册时间 注册日期 入会时间 入会日期 开卡日期 开卡时间 registeredat joindate signupdate"),
        "home_store_id": "归属门店 开卡门店 所属门店 注册门店 homestore homestoreid",
        "birth_date": "生日 出生日期 birthday birthdate dateofbirth",
        "tier": "会员等级 等级 会员级别 tier level grade",
        "city": "城市 所在城市 city",
        "points_balance": "积分 积分余额 当前积分 可用积分 points pointsbalance",
    },
    "stores": {
        "store_id": "门店编码 门店编号 门店代码 门店id 门店号 店号 storeid shopid storecode",
        "name": "门店名称 门店名 店名 名称 storename shopname name",
        "region": "区域 大区 region",
        "city": "城市 所在城市 city",
        "status": "门店状态 营业状态 状态 status",
        "closed_on": "闭店日期 关店日期 closedon",
    },
}
"""By table and canonical column (or namespace of an identity): headers in normal form, most telling first."""

TELLING = {
    "events": (("occurred_at",), ("item_id", "order_id")),
    "items": (("item_id",), ("title", "cost_cents", "category")),
    "inventory": (("item_id",), ("store_id",), ("on_hand",)),
    "members": (("member_id",), ("registered_at", "birth_date", "tier", "points_balance")),
    "stores": (("store_id",), ("name", "closed_on")),
}
"""A file fills a table if of each of these groups of columns one is there."""


def normal_form(header: str) -> str:
    """Return a header without case, spaces, punctuation and what stands in brackets."""
    bare = re.sub(r"[(（\[【].*?[)）\]】]", "", header).lower()
    return re.sub(r"[\s_\-./:：*#]", "", bare)


def match_headers(headers: Sequence[str]) -> dict[str, dict[str, list[str]]]:
    """Return the tables that a file seems to fill: table -> canonical column -> headers, most telling first.

    An order export is no table of items and members, although it names both: events leave out other tables
    that have no column of their own.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for table, columns in SYNONYMS.items():
        matched = {column: _matching(words.split(), headers) for column, words in columns.items()}
        matched = {column: names for column, names in matched.items() if names}
        if all(any(one in matched for one in group) for group in TELLING[table]):
            found[table] = matched
    if "events" in found and not ({"kind", "order_id", "quantity"} & set(found["events"])):
        found.pop("events")
    if "events" in found:
        return {"events": found["events"]}
    return found


def _matching(words: Sequence[str], headers: Sequence[str]) -> list[str]:
    """Return the headers that are one of the words, in the order of the words; of "a.b", b alone may be."""
    forms = {header: {normal_form(header), normal_form(header.rpartition(".")[2])} for header in headers}
    return [header for word in words for header in headers if word in forms[header]]

"""OHIF's configuration, made for this gateway: one data source, our own; nothing is loaded from anywhere else."""

import json
from importlib.resources import files
from typing import Any

# Two studies: current left, prior right; a mammogram: its four views; else the default.
HANGING = ["konsil-compare", "konsil-mammogram", "default"]
NEVER = {"option": "never"}
ALWAYS = {"option": "always"}
LOGO = """window.config.whiteLabeling = {
  createLogoComponentFn: React => React.createElement('span', { style: {
    font: '600 15px system-ui', color: '#7fd0d4', letterSpacing: '0.02em' } }, 'konsil'),
};
"""


def data_source() -> dict[str, Any]:
    """Our DICOMweb as OHIF's only data source."""
    return {
        "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
        "sourceName": "konsil",
        "configuration": {
            "friendlyName": "konsil",
            "name": "konsil",
            "qidoSupportsIncludeField": True,
            "imageRendering": "wadors",
            "thumbnailRendering": "thumbnail",
            "thumbnailRequestStrategy": "fetch",
            "enableStudyLazyLoad": True,
            "supportsFuzzyMatching": False,
            "supportsWildcard": True,
            "supportsReject": False,
            "dicomUploadEnabled": False,
            "singlepart": "bulkdata,video,pdf",
            "bulkDataURI": {"enabled": True},
            "omitQuotationForMultipartRequest": False,
        },
    }


def reading_mode() -> dict[str, Any]:
    """Changes to OHIF's basic mode (immutability-helper): side panels closed, so that the picture has the room."""
    closed = {"leftPanelClosed": {"$set": True}, "rightPanelClosed": {"$set": True}}
    return {
        "routes": {"0": {"layoutInstance": {"props": closed}}},
        "hangingProtocol": {"$set": HANGING},
    }


def configuration(banner: bool) -> dict[str, Any]:
    """The whole of `window.config`, but for the roots, which are the page's own origin."""
    return {
        "name": "konsil",
        "routerBasename": None,
        "extensions": [],
        "modes": [],
        "modesConfiguration": {"@ohif/mode-longitudinal": reading_mode()},
        "customizationService": [{"ohif.tours": {"$set": []}}],
        "showStudyList": False,
        "maxNumberOfWebWorkers": 3,
        "showWarningMessageForCrossOrigin": False,
        "showCPUFallbackMessage": True,
        "showLoadingIndicator": True,
        "strictZSpacingForVolumeViewport": True,
        "investigationalUseDialog": ALWAYS if banner else NEVER,
        "maxNumRequests": {"interaction": 100, "thumbnail": 5, "prefetch": 25},
        "showErrorDetails": "production",
        "defaultDataSourceName": "konsil",
        "dataSources": [data_source()],
    }


def script(banner: bool) -> str:
    """`app-config.js`, which runs before anything else of OHIF."""
    names = ("storage.js", "bridge.js", "compare.js", "mammogram.js", "contexts.js")
    storage, bridge, *extensions = (files(__package__).joinpath(name).read_text("utf-8") for name in names)
    return (
        f"{storage}\n{bridge}\nwindow.config = {json.dumps(configuration(banner), indent=2)};\n"
        "const root = window.location.origin + '/dicom-web';\n"
        "Object.assign(window.config.dataSources[0].configuration, "
        "{ qidoRoot: root, wadoRoot: root, wadoUriRoot: root });\n"
        f"{LOGO}{''.join(extensions)}"
    )
